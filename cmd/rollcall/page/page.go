// Package page serves a page over a log: what the questions of the command line
// answer, to be looked at. It asks a replay.History as they do, so that both say the
// same. What it changes it has done by the API, where an instance runs.
//
// Nothing is read before a browser is let in, and none is read under a lock of the
// instance: the page is one more reader of its log. Questions of one kind are answered
// one after the other, since a history has one user at a time.
package page

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
)

//go:embed web
var web embed.FS

// Past is a log that is open to be read.
type Past struct {
	Log    replay.Log
	Frames replay.Keyframes
	// Moment returns where an instant is in the log, which ends at last.
	Moment func(ctx context.Context, at replay.Instant, last events.Seq) (replay.Moment, error)
	// Facts says how the log is kept; nil: there is nothing to say.
	Facts func(ctx context.Context) ([]Fact, error)
	// Members are the servers that keep the log; nil: it is read from files.
	Members func(ctx context.Context) ([]Check, error)
	// Gone reports whether nothing will be read any more: the log is opened again by
	// whoever asks next. Nil: it never is.
	Gone  func() bool
	Close func()
}

// Fact is something about a log, in words.
type Fact struct {
	Name string `json:"name"`
	Says string `json:"says"`
}

// Refused is something that the gate did not let in.
type Refused struct {
	Number uint64    `json:"number"`
	Source string    `json:"source"`
	Type   string    `json:"type,omitempty"`
	Last   time.Time `json:"last"`
	Count  int       `json:"count"`
	Why    string    `json:"why"`
	Do     string    `json:"do,omitempty"`
}

// Config says what a page is about.
type Config struct {
	Open    func(ctx context.Context) (*Past, error) // called at the first request of each kind
	Cluster string
	Target  string // the flags by which commands name the log: "--data ./cluster"
	Live    bool   // events may come
	Version string // of the program
	// Health says how the instance is; nil: none runs.
	Health func(ctx context.Context) []Check
	// Act does what somebody asks for on the page; nil: it is only looked at.
	Act func(ctx context.Context, x Action) error
	// Insert makes of a manifest what is written besides at a moment; nil: nothing can be.
	Insert func(ctx context.Context, manifest string, at replay.Moment) ([]play.Insert, error)
	// Refused returns what the gate has refused, the last first; nil: there is none.
	Refused func(ctx context.Context) ([]Refused, error)
	Beside  *Beside // nil: there is no second log
	Scene   *Scene  // nil: the page is of no demo
}

// Beside is a recording that is held against the log.
type Beside struct {
	Name string // as commands name it
	Open func(ctx context.Context) (*Past, error)
}

// Check is one thing about which an instance, or a server, says how it is.
type Check struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Good  bool   `json:"good"`
}

// Scene is what a demo shows.
type Scene struct {
	Name  string   `json:"name"`
	Lines []string `json:"lines"` // what to look at, and which command answers it
}

// Page answers the requests of browsers.
type Page struct {
	Config
	door   *door
	ending *ending
	lanes  [lanes]*reader
	beside *reader // nil: there is none
	live   *live
	seen   seen // of the lane of instants
	mux    *http.ServeMux
}

// New returns a page that is reached by an address, as the Host of requests has it.
func New(c Config, address string) *Page {
	p := &Page{Config: c, mux: http.NewServeMux()}
	p.door = newDoor(address, func() { p.live.ended.Go(p.begin) })
	p.ending = newEnding(c.Open)
	p.lanes = [lanes]*reader{instants: newReader(p.ending, nil), places: newReader(p.ending, newIndex()), courses: newReader(p.ending, nil), stories: newReader(p.ending, nil)}
	if c.Beside != nil {
		p.beside = newReader(newEnding(c.Beside.Open), nil)
	}
	p.live = newLive(p.lanes[places])
	assets, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // it is embedded
	}
	files := http.FileServerFS(assets)
	p.mux.Handle("GET /", files)
	modules, err := modulesOf(assets)
	if err != nil {
		panic(err)
	}
	p.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", modules)
		files.ServeHTTP(w, r)
	})
	for path, x := range questions {
		p.mux.HandleFunc("GET /v1/"+path, p.handler(x))
	}
	p.mux.HandleFunc("GET /v1/stream", p.stream)
	p.mux.HandleFunc("GET /v1/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, refused("there is no "+r.URL.Path, "ask one of the paths that docs/HTTP.md has, such as /v1/overview"))
	})
	p.mux.HandleFunc("POST "+actPath, p.act)
	return p
}

// modulesOf is the header by which a browser learns of all modules at once, instead of
// of each from those that name it.
func modulesOf(assets fs.FS) (string, error) {
	var all []string
	err := fs.WalkDir(assets, ".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".js") {
			all = append(all, "</"+path+">; rel=modulepreload")
		}
		return err
	})
	return strings.Join(all, ", "), err
}

// begin has answered what a browser that was let in asks first, while it loads what
// asks: the answers are kept, and so is what was read for them. What goes wrong is told
// to who asks.
func (p *Page) begin() {
	for _, what := range []string{"overview", "density?buckets=1", "rollouts"} {
		path, _, _ := strings.Cut(what, "?")
		if r, err := http.NewRequestWithContext(p.live.ctx, http.MethodGet, "/v1/"+what, nil); err == nil {
			_, _ = p.told(r, questions[path])
		}
	}
}

// Link returns the address by which a browser gets in, once.
func (p *Page) Link() string { return p.door.link() }

// Serve answers at a listener until ctx is done, and closes what it has opened.
func (p *Page) Serve(ctx context.Context, l net.Listener) error {
	// A request ends with the page, and a stream goes on as long as it is read.
	s := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		_ = s.Close()
		<-done
	}
	p.end()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// end closes what requests have opened.
func (p *Page) end() {
	p.live.close()
	for _, r := range append(p.lanes[:], p.beside) {
		if r != nil {
			r.close()
		}
	}
	p.ending.close()
	if p.beside != nil {
		p.beside.end.close()
	}
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.door.enter(w, r) {
		p.mux.ServeHTTP(w, r)
	}
}

// query is a request about the log, while it is answered.
type query struct {
	*http.Request
	*reader
	page *Page
	at   replay.Moment // that is asked about
	now  bool          // that is the end of the log, whatever comes
	held bool          // the end is held
	head http.Header   // of the answer
	body []byte        // of one that is no document
}

// answer answers a request with a kind of document and its items, or with bytes, and
// an empty kind.
type answer func(q *query) (kind string, items any, err error)

// handler answers a question.
func (p *Page) handler(x question) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := reads(r, x.params); err != nil {
			writeError(w, err)
			return
		}
		d, err := p.told(r, x)
		switch {
		case err != nil && r.Context().Err() == nil:
			writeError(w, err)
		case err == nil:
			maps.Copy(w.Header(), d.head)
			_, _ = w.Write(d.body) // who does not want it any more has gone
		}
	}
}

// told has a request wait for its turn, and returns its answer.
func (p *Page) told(r *http.Request, x question) (d document, err error) {
	l := p.lanes[x.lane]
	err = l.take(r.Context(), func() (err error) {
		keep := !x.fleeting && lasting(r)
		if d = l.kept.find(r, l.h.Span().Last, time.Now()); keep && d.body != nil {
			return nil
		}
		q := &query{Request: r, reader: l, page: p, now: r.FormValue("at") == "", head: http.Header{"Content-Type": {"application/json"}}}
		if d, err = q.document(x); keep && err == nil {
			l.kept.keep(r, d)
		}
		return err
	})
	return d, err
}

// document answers a question.
func (q *query) document(x question) (d document, err error) {
	defer q.letGo()
	if q.at, err = q.moment("at"); err != nil {
		return d, err
	}
	kind, items, err := x.do(q)
	if err == nil && kind != "" {
		q.body, err = json.Marshal(replay.NewAnswer(kind, q.at, q.h.Span(), items))
	}
	return document{q.head, q.body, q.h.Span().Last, time.Now()}, err
}

// writeError tells what is wrong, and what to do about it.
func writeError(w http.ResponseWriter, err error) {
	e := new(events.Error)
	if !errors.As(err, &e) {
		e = &events.Error{Code: "E-UI-FAILED", What: err.Error(), Do: "see what rollcall verify says of the log", Exit: events.ExitFailure}
	}
	status := http.StatusInternalServerError
	if e.Exit == events.ExitInput {
		status = http.StatusBadRequest
	}
	refuse(w, status, e)
}

// refuse writes an error as its document.
func refuse(w http.ResponseWriter, status int, e error) {
	b, err := json.Marshal(e)
	if err != nil {
		b = []byte("{}") // strings have a JSON form
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
