package natsd

import (
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// table is a table of sources that a test changes.
type table struct {
	mu  sync.Mutex
	all map[string]Source
}

func (b *table) source(name string) (Source, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.all[name]
	return s, ok
}

func (b *table) set(s Source) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[s.Name] = s
}

func source(name string, read bool, may ...string) Source {
	return Source{Name: name, Token: sum("token of " + name), May: may, Read: read}
}

func sum(password string) [32]byte { return sha256.Sum256([]byte(password)) }

// as connects to a server as a user with a password.
func as(s *Server, user, password string) func(...nats.Option) (*nats.Conn, error) {
	return Connection{URL: s.URL(), User: user, Password: password}.Connect
}

func asSource(s *Server, name string) func(...nats.Option) (*nats.Conn, error) {
	return as(s, name, "token of "+name)
}

// asAdmin connects as the user of a data directory.
func asAdmin(t *testing.T, s *Server) func(...nats.Option) (*nats.Conn, error) {
	t.Helper()
	c, err := Attach(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	return c.Connect
}

// cells are what each user may publish (y) and may not (-), and what each may
// subscribe to. Users are: ann and cli, of the data directory; inv, who may tell
// node.*; one, who may tell node.gone; ci, who may tell com.example.*; any, who may
// tell everything; dash, who may read; both, who may tell node.* and read.
const cells = `
                                                    ann cli inv one ci any dash both
rollcall.test.ingest.node.observed                   y   y   y   -   -   y   -   y
rollcall.test.ingest.com.example.done                y   y   -   -   y   y   -   -
rollcall.test.from.admin.ingest.node.gone            y   y   -   -   -   -   -   -
rollcall.test.from.inv.ingest.node.observed          -   -   y   -   -   -   -   -
rollcall.test.from.inv.ingest.hold.placed            -   -   -   -   -   -   -   -
rollcall.test.from.inv.ingest.nodes.x                -   -   -   -   -   -   -   -
rollcall.test.from.one.ingest.node.gone              -   -   -   y   -   -   -   -
rollcall.test.from.one.ingest.node.observed          -   -   -   -   -   -   -   -
rollcall.test.from.one.ingest.node.gone.x            -   -   -   -   -   -   -   -
rollcall.test.from.ci.ingest.com.example.a.b         -   -   -   -   y   -   -   -
rollcall.test.from.ci.ingest.com.examples.a          -   -   -   -   -   -   -   -
rollcall.test.from.any.ingest.pod.status             -   -   -   -   -   y   -   -
rollcall.test.from.any.ingest.hold.placed            -   -   -   -   -   y   -   -
rollcall.test.from.dash.ingest.node.gone             -   -   -   -   -   -   -   -
rollcall.test.from.both.ingest.node.gone             -   -   -   -   -   -   -   y
rollcall.other.from.any.ingest.node.gone             -   -   -   -   -   -   -   -
rollcall.test.from.inv.node.observed                 -   -   -   -   -   -   -   -
rollcall.test.pod.default.x                          -   -   -   -   -   -   -   -
rollcall.test.plan.default.x                         -   -   -   -   -   -   -   -
rollcall.test.plan._.collector                       -   -   -   -   -   -   -   -
rollcall.test.outcome.default.x                      -   -   -   -   -   -   -   -
rollcall.test.daemonset.default.x                    -   -   -   -   -   -   -   -
rollcall.test.node._.x                               -   -   -   -   -   -   -   -
rollcall.test.hold.inv.x                             -   -   -   -   -   -   -   -
rollcall.test.note._.inv                             -   -   -   -   -   -   -   -
rollcall.test.told._.inv                             -   -   -   -   -   -   -   -
rollcall.test.rejects.inv                            -   -   -   -   -   -   -   -
rollcall.test.gate.as.ann.info                       y   -   -   -   -   -   -   -
rollcall.test.gate.as.cli.archive                    -   y   -   -   -   -   -   -
rollcall.test.gate.as.inv.info                       -   -   -   -   -   -   -   -
rollcall.test.gate.as.ann.a.b                        -   -   -   -   -   -   -   -
rollcall.test.gate.default.x                         -   -   -   -   -   -   -   -
rollcall.other.gate.as.ann.info                      -   -   -   -   -   -   -   -
$SRV.PING                                            y   y   -   -   -   -   -   -
$JS.API.INFO                                         y   y   -   -   -   -   y   y
$JS.API.STREAM.INFO.ROLLCALL_test                    y   y   -   -   -   -   y   y
$JS.API.STREAM.INFO.OTHER                            -   -   -   -   -   -   -   -
$JS.API.STREAM.MSG.GET.ROLLCALL_test                 y   y   -   -   -   -   y   y
$JS.API.DIRECT.GET.ROLLCALL_test                     y   y   -   -   -   -   y   y
$JS.API.DIRECT.GET.KV_rollcall_test_leases           -   -   -   -   -   -   -   -
$JS.API.DIRECT.GET.ROLLCALL_test_REJECTS             -   -   -   -   -   -   -   -
$JS.API.CONSUMER.CREATE.ROLLCALL_test.x              y   y   -   -   -   -   y   y
$JS.API.CONSUMER.MSG.NEXT.ROLLCALL_test.x            y   y   -   -   -   -   y   y
$JS.API.CONSUMER.CREATE.ROLLCALL_test                y   y   -   -   -   -   y   y
$JS.API.CONSUMER.CREATE.ROLLCALL_test_REJECTS.x      -   -   -   -   -   -   -   -
$JS.API.CONSUMER.CREATE.KV_rollcall_test_leases.x    -   -   -   -   -   -   -   -
$JS.API.CONSUMER.DURABLE.CREATE.ROLLCALL_test.x      -   -   -   -   -   -   -   -
$JS.API.CONSUMER.LIST.ROLLCALL_test                  -   -   -   -   -   -   -   -
$JS.API.CONSUMER.NAMES.ROLLCALL_test                 -   -   -   -   -   -   -   -
$JS.API.CONSUMER.PAUSE.ROLLCALL_test.x               -   -   -   -   -   -   -   -
$JS.API.CONSUMER.MSG.NEXT.OTHER.x                    -   -   -   -   -   -   -   -
$JS.API.STREAM.CREATE.X                              -   -   -   -   -   -   -   -
$JS.API.STREAM.UPDATE.ROLLCALL_test                  -   -   -   -   -   -   -   -
$JS.API.STREAM.DELETE.ROLLCALL_test                  -   -   -   -   -   -   -   -
$JS.API.STREAM.PURGE.ROLLCALL_test                   -   -   -   -   -   -   -   -
$JS.API.STREAM.SNAPSHOT.ROLLCALL_test                -   -   -   -   -   -   -   -
$JS.API.STREAM.MSG.DELETE.ROLLCALL_test              -   -   -   -   -   -   -   -
$JS.ACK.ROLLCALL_test.c.1.1.1.1.0                    -   -   -   -   -   -   -   -
$JS.FC.x                                             -   -   -   -   -   -   -   -
$KV.rollcall_test_leases.x                           -   -   -   -   -   -   -   -
$O.rollcall_test_keyframes.M.x                       -   -   -   -   -   -   -   -
$SYS.REQ.SERVER.PING                                 -   -   -   -   -   -   -   -
_ROLLCALL.x                                          -   -   -   -   -   -   -   -
_ROLLCALL_CONSUMER.CREATE.x                          -   -   -   -   -   -   -   -
_INBOX.x                                             -   -   -   -   -   -   -   -
_R_.x                                                -   -   -   -   -   -   -   -
x                                                    -   -   -   -   -   -   -   -
SUB _INBOX.>                                         y   y   y   y   y   y   y   y
SUB _INBOX_ann.>                                      y   -   -   -   -   -   -   -
SUB _INBOX_inv.x                                     -   -   y   -   -   -   -   -
SUB >                                                -   -   -   -   -   -   -   -
SUB *.>                                              -   -   -   -   -   -   -   -
SUB *.*.*                                            -   -   -   -   -   -   -   -
SUB _INBOX                                           -   -   -   -   -   -   -   -
SUB rollcall.test.>                                  -   -   -   -   -   -   -   -
SUB rollcall.test.from.inv.ingest.>                  -   -   -   -   -   -   -   -
SUB rollcall.test.gate.as.ann.*                      -   -   -   -   -   -   -   -
SUB _ROLLCALL.>                                      -   -   -   -   -   -   -   -
SUB _ROLLCALL_CONSUMER.>                             -   -   -   -   -   -   -   -
SUB _R_.>                                            -   -   -   -   -   -   -   -
SUB $JS.>                                            -   -   -   -   -   -   -   -
SUB $SYS.>                                           -   -   -   -   -   -   -   -
`

// 9.1-E35: nobody outside publishes a plan.
//
// TestUsersAndSubjects tries every subject as every user, on a real server, and
// looks at what has reached the gate and the log.
//
// X1, E35
func TestUsersAndSubjects(t *testing.T) {
	b := &table{all: map[string]Source{}}
	for _, s := range []Source{source("inv", false, "node.*"), source("one", false, "node.gone"), source("ci", false, "com.example.*"),
		source("any", false, "*"), source("dash", true), source("both", true, "node.*")} {
		b.set(s)
	}
	s := mustStart(t, Options{Dir: t.TempDir(), Listen: loopback, Users: []string{"ann", "cli"}, Sources: b.source})
	in := mustConnect(t, s.Connect)
	js := logStream(t, in)
	gate, err := in.SubscribeSync("rollcall.test.from.>")
	if err := errors.Join(err, in.Flush()); err != nil {
		t.Fatal(err)
	}
	id, err := loadIdentity(s.Dir(), []string{"ann", "cli"})
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(cells), "\n")
	users := strings.Fields(rows[0])
	n := 0
	var told []string
	for _, row := range rows[1:] {
		subject, subscribes := strings.CutPrefix(row, "SUB ")
		f := strings.Fields(subject)
		subject = f[0]
		for i, user := range users {
			n++
			connect := asSource(s, user)
			if password := id.Passwords[user]; password != "" {
				connect = as(s, user, password)
			}
			err := refusal(t, connect, func(nc *nats.Conn) error {
				if subscribes {
					_, err := nc.SubscribeSync(subject)
					return err
				}
				return nc.Publish(subject, []byte("x"))
			})
			if may := f[i+1] == "y"; may != (err == nil) || err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s as %s: %v, want allowed %v", row[:50], user, err, may)
			}
			if f[i+1] == "y" && strings.Contains(subject, ".ingest.") {
				by := user
				if i < 2 {
					by = "admin"
				}
				told = append(told, strings.Replace(subject, ".test.ingest.", ".test.from."+by+".ingest.", 1))
			}
		}
	}
	t.Logf("%d cells", n)
	if n < 180 {
		t.Errorf("only %d cells", n)
	}
	for _, want := range told {
		m, err := gate.NextMsg(patience)
		if err != nil || m.Subject != want {
			t.Fatalf("the gate was told %v (%v), want %s", m, err, want)
		}
	}
	if m, err := gate.NextMsg(10 * time.Millisecond); err == nil {
		t.Errorf("the gate was told %s as well", m.Subject)
	}
	if st, err := js.Stream(t.Context(), "ROLLCALL_test"); err != nil || st.CachedInfo().State.Msgs != 0 || st.CachedInfo().State.Consumers != 0 {
		t.Errorf("the log has messages or consumers from outside: %+v, %v", st.CachedInfo().State, err)
	}
}

// TestStrangers: nobody is let in who is not known.
func TestStrangers(t *testing.T) {
	b := &table{all: map[string]Source{}}
	b.set(source("inv", false, "node.*"))
	b.set(source("cli", true, "*"))
	b.set(source("rollcall", true, "*"))
	s := mustStart(t, Options{Dir: t.TempDir(), Listen: loopback, Sources: b.source})
	for user, password := range map[string]string{"inv": "", "nobody": "token of nobody", "": "token of inv", "rollcall": "token of rollcall",
		"cli": "token of cli", "Inv": "token of inv", "inv ": "token of inv"} {
		if nc, err := as(s, user, password)(); err == nil {
			nc.Close()
			t.Errorf("%q was let in with %q", user, password)
		}
	}
	for _, o := range []nats.Option{nats.Token("token of inv"), nats.UserInfo("inv", "x"), nats.UserInfo(insideUser, s.password), nil} {
		if nc, err := nats.Connect(s.URL(), o); err == nil {
			nc.Close()
			t.Error("somebody was let in")
		}
	}
	mustConnect(t, asSource(s, "inv"))
}

// TestSourcesChange: a source that is taken away, has another token, or may do
// something else is cut off at once; others stay.
func TestSourcesChange(t *testing.T) {
	b := &table{all: map[string]Source{}}
	s := mustStart(t, Options{Dir: t.TempDir(), Listen: loopback, Sources: b.source})
	if nc, err := asSource(s, "inv")(); err == nil {
		nc.Close()
		t.Fatal("a source was let in before it was added")
	}
	changes := map[string]func(Source) Source{
		"gone":     func(Source) Source { return Source{} },
		"token":    func(s Source) Source { s.Token = sum("other"); return s },
		"narrowed": func(s Source) Source { s.May = []string{"node.gone"}; return s },
		"reader":   func(s Source) Source { s.Read = true; return s },
		"same":     func(s Source) Source { return s },
	}
	closed := make(chan string, len(changes))
	conns := map[string]*nats.Conn{}
	for name := range changes {
		b.set(source(name, false, "node.*"))
		conns[name] = mustConnect(t, asSource(s, name), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { closed <- name }))
	}
	s.Recheck()
	for name, change := range changes {
		now := change(source(name, false, "node.*"))
		b.mu.Lock()
		delete(b.all, name)
		b.mu.Unlock()
		if now.Name != "" {
			b.set(now)
		}
	}
	s.Recheck()
	cut := map[string]bool{}
	for range len(changes) - 1 {
		cut[<-closed] = true
	}
	if cut["same"] || len(cut) != len(changes)-1 || conns["same"].Flush() != nil {
		t.Errorf("cut off are %v", cut)
	}
	for _, name := range []string{"gone", "token"} {
		if nc, err := asSource(s, name)(); err == nil {
			nc.Close()
			t.Errorf("%s was let in again", name)
		}
	}
	publish := func(name, subject string) error {
		return refusal(t, asSource(s, name), func(nc *nats.Conn) error { return nc.Publish(subject, nil) })
	}
	if publish("narrowed", "rollcall.test.from.narrowed.ingest.node.observed") == nil || publish("narrowed", "rollcall.test.from.narrowed.ingest.node.gone") != nil {
		t.Error("what was narrowed is as wide as it was")
	}
	if publish("reader", "$JS.API.DIRECT.GET.ROLLCALL_test") != nil {
		t.Error("who may read now cannot")
	}
}

// TestWidened: a source that may tell more than before is heard with that too, over
// an account that was made when it might not.
func TestWidened(t *testing.T) {
	b := &table{all: map[string]Source{}}
	s := mustStart(t, Options{Dir: t.TempDir(), Listen: loopback, Sources: b.source})
	in := mustConnect(t, s.Connect)
	gate, err := in.SubscribeSync("rollcall.test.from.*.ingest.>")
	if err := errors.Join(err, in.Flush()); err != nil { // the server hears others on connections of theirs
		t.Fatal(err)
	}
	for _, may := range []string{"node.gone", "com.example.*"} {
		b.set(source("inv", false, may))
		typ := strings.Replace(may, "*", "done", 1)
		for _, subject := range []string{"rollcall.test.from.inv.ingest." + typ, "rollcall.test.ingest." + typ} {
			if err := refusal(t, asSource(s, "inv"), func(nc *nats.Conn) error { return nc.Publish(subject, nil) }); err != nil {
				t.Error(err)
			}
			if m, err := gate.NextMsg(patience); err != nil || m.Subject != "rollcall.test.from.inv.ingest."+typ {
				t.Errorf("%s: the gate was told %v, %v", subject, m, err)
			}
		}
	}
}

// TestAnswersAreNoRequests: an answer goes where its request says, also to a subject
// that its user may not publish on; it must not come to the gate in another's name.
func TestAnswersAreNoRequests(t *testing.T) {
	b := &table{all: map[string]Source{}}
	b.set(source("inv", false, "node.*"))
	b.set(source("dash", true))
	s := mustStart(t, Options{Dir: t.TempDir(), Listen: loopback, Sources: b.source})
	in := mustConnect(t, s.Connect)
	js := logStream(t, in)
	if _, err := js.Publish(t.Context(), "rollcall.test.pod.default.x", []byte("fact")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var heard []string
	if _, err := in.Subscribe("rollcall.test.>", func(m *nats.Msg) {
		mu.Lock()
		heard = append(heard, m.Subject)
		mu.Unlock()
		if m.Reply != "" {
			_ = m.Respond([]byte("answer"))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := in.Flush(); err != nil {
		t.Fatal(err)
	}
	mustConnect(t, asAdmin(t, s)) // whose subjects are there then
	inv, dash := mustConnect(t, asSource(s, "inv")), mustConnect(t, asSource(s, "dash"))
	others := []string{"rollcall.test.from.admin.ingest.node.gone", "rollcall.test.ingest.node.gone", "rollcall.test.from.dash.ingest.node.gone",
		"rollcall.test.gate.as.cli.archive", "rollcall.test.pod.default.x", "$JS.API.STREAM.DELETE.ROLLCALL_test"}
	for _, other := range others {
		if err := inv.PublishRequest("rollcall.test.from.inv.ingest.node.gone", other, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := dash.PublishRequest("$JS.API.DIRECT.GET.ROLLCALL_test", other, []byte(`{"seq":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	// A request that is answered shows that those before it were.
	if m, err := inv.Request("rollcall.test.from.inv.ingest.node.gone", nil, patience); err != nil || string(m.Data) != "answer" {
		t.Fatalf("the last request: %v, %v", m, err)
	}
	if _, err := dash.Request("$JS.API.DIRECT.GET.ROLLCALL_test", []byte(`{"seq":1}`), patience); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got, want := strings.Join(heard, " "), strings.TrimSpace(strings.Repeat(" rollcall.test.from.inv.ingest.node.gone", len(others)+1)); got != want {
		t.Errorf("heard %s", got)
	}
	if st, err := js.Stream(t.Context(), "ROLLCALL_test"); err != nil || st.CachedInfo().State.LastSeq != 1 {
		t.Errorf("answers are in the log: %v", err)
	}
}

// TestNobodyListens: who tells something where no gate is is told so.
func TestNobodyListens(t *testing.T) {
	b := &table{all: map[string]Source{}}
	b.set(source("inv", false, "*"))
	s := mustStart(t, Options{Dir: t.TempDir(), Listen: loopback, Sources: b.source})
	for connect, subject := range map[*nats.Conn]string{
		mustConnect(t, asSource(s, "inv")): "rollcall.test.from.inv.ingest.node.gone",
		mustConnect(t, asAdmin(t, s)):      "rollcall.test.ingest.node.gone",
	} {
		if _, err := connect.Request(subject, nil, patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v", subject, err)
		}
	}
}
