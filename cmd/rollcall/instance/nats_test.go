package instance

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/stream"
	"rollcall/projector"
)

// serverElsewhere starts a NATS server that is not rollcall's.
func serverElsewhere(t *testing.T, o server.Options) string {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog, o.JetStream, o.StoreDir = "127.0.0.1", server.RANDOM_PORT, true, true, true, t.TempDir()
	return runServer(t, &o)
}

func runServer(t *testing.T, o *server.Options) string {
	t.Helper()
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10e9) {
		t.Fatal("the server does not start")
	}
	return s.ClientURL()
}

// told is the Console of a test.
type told struct {
	silence
	strings.Builder
}

// Warn implements Console.
func (t *told) Warn(text string) { t.WriteString(text + "\n") }

// openElsewhere opens the log of a cluster there, as up does.
func openElsewhere(t *testing.T, urls string) (*Instance, *told) {
	t.Helper()
	said := &told{}
	in := &Instance{Options: Options{NATSURL: urls, Cluster: "local", Console: said}}
	var err error
	if in.Subjects, err = events.NewSubjects("local"); err != nil {
		t.Fatal(err)
	}
	if in.NC, err = Dial(urls, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.NC.Close)
	log, err := stream.Open(t.Context(), in.NC, in.Subjects, in.streamOptions())
	if err != nil {
		t.Fatal(err)
	}
	in.Log = datadir.Log{Log: log}
	return in, said
}

// A server that anybody may write is told of, one with users is not; the look
// leaves nothing in the log.
//
// finding U11, finding M4
func TestOpenServerIsToldOf(t *testing.T) {
	with := func(p *server.Permissions) server.Options {
		return server.Options{MaxPayload: events.MaxMessage, Users: []*server.User{
			{Username: "rollcall", Password: "x"},
			{Username: "anybody", Password: "y", Permissions: p},
		}, NoAuthUser: "anybody"}
	}
	reader := &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"$JS.API.STREAM.INFO.>", "$JS.API.DIRECT.GET.>"}}}
	locked := with(nil)
	locked.NoAuthUser = ""
	for name, tc := range map[string]struct {
		o    server.Options
		user string
		want []string
	}{
		"no users":              {server.Options{}, "", []string{"E-LOG-PAYLOAD", "E-LOG-OPEN"}},
		"anybody is a writer":   {with(nil), "rollcall:x@", []string{"E-LOG-OPEN"}},
		"anybody reads":         {with(reader), "rollcall:x@", nil},
		"nobody without a name": {locked, "rollcall:x@", nil},
	} {
		t.Run(name, func(t *testing.T) {
			urls := strings.Replace(serverElsewhere(t, tc.o), "nats://", "nats://"+tc.user, 1)
			in, said := openElsewhere(t, urls)
			in.warnOfNATS(t.Context())
			for _, code := range []string{"E-LOG-PAYLOAD", "E-LOG-OPEN"} {
				want := false
				for _, c := range tc.want {
					want = want || c == code
				}
				if got := strings.Contains(said.String(), code+": "); got != want {
					t.Errorf("%s is told: %v, want %v, in %q", code, got, want, said)
				}
			}
			if i, err := in.Log.Info(t.Context()); err != nil || i.Last != 0 {
				t.Errorf("the look was stored: the log is at %d (%v)", i.Last, err)
			}
		})
	}
}

func someNode() events.Event {
	return events.Event{ID: ulid.Make(), Type: events.ObjectType(events.Node, events.VerbCreated), Source: "test",
		Body: events.Object{Ref: events.Ref{Kind: events.Node, Key: events.Key{Name: "n"}}, Data: []byte{0x80}}}
}

// readElsewhere appends to the log of an instance on servers that are somebody
// else's, and reads it to its end.
func readElsewhere(t *testing.T, urls string) (*Instance, error) {
	t.Helper()
	in, _ := openElsewhere(t, urls)
	var o projector.Options
	if err := in.witnessFar(&o); err != nil {
		t.Fatal(err)
	}
	if _, err := drive.Submit(t.Context(), in.Log, events.Entry{Event: someNode()}); err != nil {
		t.Fatal(err)
	}
	p := projector.Open(in.Log, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case <-p.Ready():
		cancel()
		<-ended
		return in, nil
	case err := <-ended:
		return in, in.farHint(err)
	}
}

// How far a log elsewhere was read is known at the next start, and a stream that
// was made anew under its name is another.
//
// finding M1
func TestPositionElsewhere(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	urls := serverElsewhere(t, server.Options{})
	run := func() (*Instance, error) { return readElsewhere(t, urls) }
	in, err := run()
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := datadir.LoadPosition(in.farPath); err != nil || kept.Seq == 0 {
		t.Fatalf("kept is %v, %v", kept, err)
	}
	if _, err := run(); err != nil {
		t.Fatalf("again: %v", err)
	}
	js, err := jetstream.New(in.NC)
	if err != nil {
		t.Fatal(err)
	}
	// A server that has lost its last stream removes the directory of all a moment later.
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "BESIDE", Subjects: []string{"beside"}}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), in.Subjects.Stream()); err != nil {
		t.Fatal(err)
	}
	in, err = run()
	var e *events.Error
	if !errors.As(err, &e) || !errors.Is(err, events.ErrRewritten) || !strings.Contains(e.Do, in.farPath) {
		t.Fatalf("another stream of the name: %v, want E-LOG-REWRITTEN and what to remove", err)
	}
	if err := os.Remove(in.farPath); err != nil {
		t.Fatal(err)
	}
	if _, err := run(); err != nil {
		t.Errorf("after it was removed: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(in.farPath), ".*"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNATSNames(t *testing.T) {
	for name, want := range map[string]string{"ann": "ann", "DOMAIN\\ann": "DOMAIN-ann", "a.b": "a-b", "": "cli", "rollcall": "cli", "-": "cli", ">": "cli"} {
		if got := natsName(name); got != want {
			t.Errorf("%q is %q at NATS, want %q", name, got, want)
		}
	}
	if got := NATSUser("nats://ann:secret@h:1, nats://h:2", "me"); got != "ann" {
		t.Errorf("user %q, want ann", got)
	}
	if got, want := NATSUser("nats://token@h:1", "me"), "me"; got != want {
		t.Errorf("user of a token %q, want %q", got, want)
	}
	for _, urls := range []string{"nats://ann:secret@h:1, nats://bob:secret@h:2", "nats://secret@h:1,nats://h:2", "nats://ann:se%cret@h:1,nats://h:2", "ann:secret@h:1,h:2"} {
		if got := WithoutUser(urls); strings.Contains(got, "cret") || !strings.Contains(got, "h:1") || !strings.Contains(got, "h:2") {
			t.Errorf("%s is kept of %s", got, urls)
		}
	}
}

// The configuration that docs/OPERATIONS.md gives is one: each user may do what
// is said there, and nothing else.
//
// finding M4, finding U11
func TestDocumentedPermissions(t *testing.T) {
	urls := documentedServer(t)
	as := func(user string) string { return strings.Replace(urls, "nats://", "nats://"+user+":"+user+"1@", 1) }
	in, said := openElsewhere(t, as("rollcall"))
	in.warnOfNATS(t.Context())
	if said.Len() > 0 {
		t.Errorf("told of the documented server: %s", said)
	}
	if _, err := in.Log.Append(t.Context(), events.Entry{Event: someNode()}); err != nil {
		t.Fatal(err)
	}
	reader, err := Dial(as("reader"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	log, err := stream.Open(t.Context(), reader, in.Subjects, stream.Options{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, err := range log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		read++
	}
	if read != 1 {
		t.Errorf("the reader reads %d events, want 1", read)
	}
	if _, err := in.NC.Subscribe(in.Subjects.Gate("*", "ask"), func(m *nats.Msg) { _ = m.Respond([]byte(m.Subject)) }); err != nil {
		t.Fatal(err)
	}
	if err := in.NC.Flush(); err != nil {
		t.Fatal(err)
	}
	ann, err := Dial(as("ann"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	if m, err := ann.Request(in.Subjects.Gate("ann", "ask"), nil, patience); err != nil || string(m.Data) != in.Subjects.Gate("ann", "ask") {
		t.Errorf("a client asks the gate: %v, %v", m, err)
	}
	node := in.Subjects.Object(events.Node, events.Key{Name: "x"})
	for _, tc := range []struct{ user, subject string }{
		{"reader", node}, {"ann", node}, {"ann", in.Subjects.Gate("bob", "ask")}, {"reader", in.Subjects.Gate("reader", "ask")},
		{"reader", "$JS.API.CONSUMER.CREATE.ROLLCALL_local.x"}, {"ann", "$JS.API.STREAM.INFO.ROLLCALL_local"}, {"reader", "$JS.API.STREAM.DELETE.ROLLCALL_local"},
	} {
		if err := publishAlone(t, as(tc.user), tc.subject); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s publishes on %s: %v, want a refusal", tc.user, tc.subject, err)
		}
	}
}

// documentedServer starts a server with the configuration of the document.
func documentedServer(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```\nmax_payload")
	conf, _, closed := strings.Cut(rest, "\n```")
	if !found || !closed {
		t.Fatal("docs/OPERATIONS.md has no configuration")
	}
	for _, user := range []string{"rollcall", "reader", "ann"} {
		t.Setenv(strings.ToUpper(user)+"_PASSWORD", user+"1")
	}
	dir := t.TempDir()
	conf = strings.Replace("max_payload"+conf, "/var/lib/nats", dir, 1)
	path := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	return runServer(t, o)
}

// publishAlone publishes on a connection of its own and returns what the server
// says to it.
func publishAlone(t *testing.T, urls, subject string) error {
	t.Helper()
	nc, err := nats.Connect(urls, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := errors.Join(nc.Publish(subject, []byte("x")), nc.Flush()); err != nil {
		return err
	}
	return nc.LastError()
}
