package instance

import (
	"bufio"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/publisher/sources"
)

// TestSourcesOfAnInstance: a source is known to the NATS server while it stands in
// the table, also of an instance in a temporary directory, and is cut off when it no
// longer does.
func TestSourcesOfAnInstance(t *testing.T) {
	for _, data := range []string{"", t.TempDir()} {
		in, _ := start(t, Options{Data: data, NATSListen: "127.0.0.1:0", Durability: natsd.Relaxed})
		connect := func(o ...nats.Option) (*nats.Conn, error) {
			return nats.Connect(in.Server.URL(), append(o, nats.UserInfo("inv", "token"), nats.NoReconnect())...)
		}
		change := func(change func(*sources.Table) *sources.Table) {
			err := sources.Change(in.Server.Dir(), func(t *sources.Table) (*sources.Table, error) { return change(t), nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if nc, err := connect(); err == nil {
			nc.Close()
			t.Fatal("a source is known before it was added")
		}
		change(func(t *sources.Table) *sources.Table {
			return t.With(sources.Entry{Source: sources.Source{Name: "inv", May: []string{"node.*"}, Nodes: []string{"*"}}, Token: sources.HashOf("token")})
		})
		closed := make(chan struct{})
		nc, err := connect(nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		change(func(t *sources.Table) *sources.Table { return t.Without("inv") })
		if nc, err := connect(); err == nil {
			nc.Close()
			t.Error("a token is good after its source was removed")
		}
		<-closed
	}
}

// TestSourcesAtTheStart: a mistake in the table ends a start before anything is made,
// and nobody is a source and a user of the data directory at once.
func TestSourcesAtTheStart(t *testing.T) {
	dir := t.TempDir()
	entry := func(name string) sources.Entry {
		return sources.Entry{Source: sources.Source{Name: name, Read: true}, Token: sources.HashOf(name)}
	}
	if err := sources.Change(dir, func(t *sources.Table) (*sources.Table, error) { return t.With(entry("me")).With(entry("ann")), nil }); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, sources.FileName))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(code string, o Options) {
		t.Helper()
		o.Data = dir
		in, err := Start(t.Context(), o)
		if err == nil {
			_ = in.Stop()
		}
		if e := new(events.Error); !errors.As(err, &e) || e.Code != code {
			t.Errorf("a start says %v, want %s", err, code)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("a refused start leaves %v, %v", left, err)
		}
	}
	refused("E-CLI-USER", Options{NATSUsers: []string{"ann"}})
	if err := os.WriteFile(filepath.Join(dir, sources.FileName), []byte(strings.Replace(string(text), "read", "raed", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("E-SOURCE-FILE", Options{})
	data := filepath.Join(t.TempDir(), "data")
	in, _ := start(t, Options{Data: data, User: "me", NATSListen: "127.0.0.1:0", Durability: natsd.Relaxed})
	if err := in.Stop(); err != nil {
		t.Fatal(err)
	}
	in.stops = nil
	if err := os.WriteFile(filepath.Join(data, sources.FileName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, Options{Data: data, User: "me", NATSListen: "127.0.0.1:0", Durability: natsd.Relaxed})
	if users, err := natsd.Users(data); err != nil || len(users) != 1 || users[0] != natsd.DefaultUser {
		t.Errorf("the users of the data directory are %q, %v", users, err)
	}
}

// tellNode tells as the user of c of a node, and returns the answer.
func tellNode(t *testing.T, c natsd.Connection, subject, node string) string {
	t.Helper()
	nc, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	m, err := nc.Request(subject, []byte(`{"type":"node.observed","subject":"node/`+node+`","data":{"labels":{"a":"b"}}}`), patience)
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Data)
}

// nextData returns the next data of a stream of server-sent events.
func nextData(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			return data
		}
	}
	t.Fatal("the stream has ended: ", lines.Err())
	return ""
}

// TestTellAndRead: what the admin and a source tell over NATS, each as itself, is
// read over HTTP as it was told, by who follows, until the instance stops.
func TestTellAndRead(t *testing.T) {
	sandbox(t)
	in, _ := start(t, Options{Data: t.TempDir(), NATSListen: "127.0.0.1:0", Durability: natsd.Relaxed})
	w := newTeller(t, in)
	err := sources.Change(in.Server.Dir(), func(t *sources.Table) (*sources.Table, error) {
		return t.With(sources.Entry{Source: sources.Source{Name: "inv", May: []string{"node.*"}, Nodes: []string{"edge-*"}}, Token: sources.HashOf("token")}), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://rollcall/v1/events?after=now&type=node.observed", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	stream, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	admin, err := natsd.Attach(in.Server.Dir())
	if err != nil {
		t.Fatal(err)
	}
	inv := natsd.Connection{URL: admin.URL, User: "inv", Password: "token"}
	lines := bufio.NewScanner(stream.Body)
	for _, told := range []struct {
		c                       natsd.Connection
		subject, node, by, code string
	}{
		{admin, "rollcall.local.ingest.node.observed", "n-1", "admin", ""},
		{inv, in.Subjects.Ingest("inv", "node.observed"), "n-2", "", "E-TOLD-"},
		{inv, in.Subjects.Ingest("inv", "node.observed"), "edge-2", "inv", ""},
	} {
		answer := tellNode(t, told.c, told.subject, told.node)
		if told.code != "" {
			if !strings.Contains(answer, told.code) {
				t.Errorf("another's node is answered with %s", answer)
			}
			continue
		}
		if !strings.Contains(answer, `"accepted":true`) {
			t.Fatalf("%s is answered with %s", told.node, answer)
		}
		if e := nextData(t, lines); !strings.Contains(e, `"subject":"node/`+told.node+`"`) || !strings.Contains(e, `"toldby":"`+told.by+`"`) || !strings.Contains(e, `"data":{"labels":{"a":"b"}}`) || !strings.Contains(e, `"type":"node.observed"`) {
			t.Errorf("what was told of %s is read as %s", told.node, e)
		}
	}
	if err := in.Stop(); err != nil { // the reader does not hold it up
		t.Error(err)
	}
	in.stops = nil
}
