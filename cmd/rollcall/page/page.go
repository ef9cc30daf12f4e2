// Package page serves a page over a log: what the questions of the command line
// answer, to be looked at. It asks a replay.History as they do, so that both say the
// same, and it changes nothing.
//
// Nothing is read before the first request, and none is read under a lock of the
// instance: the page is one more reader of its log. Requests are answered one after
// the other, since a history has one user at a time.
package page

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"time"

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
	Close  func()
}

// Config says what a page is about.
type Config struct {
	Open    func(ctx context.Context) (*Past, error) // called at the first request
	Cluster string
	Target  string // the flags by which commands name the log: "--data ./cluster"
	Live    bool   // events may come
	Version string // of the program
	// Health says how the instance is; nil: none runs.
	Health func(ctx context.Context) []Check
	Scene  *Scene // nil: the page is of no demo
}

// Check is one thing about which an instance says how it is.
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
	reader *reader
	live   *live
	mux    *http.ServeMux
}

// New returns a page that is reached by an address, as the Host of requests has it.
func New(c Config, address string) *Page {
	p := &Page{Config: c, door: newDoor(address), reader: newReader(c.Open), mux: http.NewServeMux()}
	p.live = newLive(p.reader)
	assets, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // it is embedded
	}
	p.mux.Handle("GET /", http.FileServerFS(assets))
	for path, answer := range p.answers() {
		p.mux.HandleFunc("GET /v1/"+path, p.handler(answer))
	}
	p.mux.HandleFunc("GET /v1/stream", p.stream)
	return p
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
	p.live.close()
	p.reader.close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
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
}

// answer answers a request with a kind of document and its items, or writes the
// answer itself, with an empty kind.
type answer func(w http.ResponseWriter, q *query) (kind string, items any, err error)

// handler has a request wait for its turn, and answers it.
func (p *Page) handler(do answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := p.reader.take(r.Context(), func() error {
			q := &query{Request: r, reader: p.reader, page: p}
			var err error
			if q.at, err = q.moment("at"); err != nil {
				return err
			}
			kind, items, err := do(w, q)
			if err != nil || kind == "" {
				return err
			}
			return writeJSON(w, replay.NewAnswer(kind, q.at, q.h.Span(), items))
		})
		if err != nil && r.Context().Err() == nil {
			writeError(w, err)
		}
	}
}

func writeJSON(w http.ResponseWriter, x any) error {
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // who does not want it any more has gone
	return nil
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
	b, err := json.Marshal(e)
	if err != nil {
		b = []byte("{}") // strings have a JSON form
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
