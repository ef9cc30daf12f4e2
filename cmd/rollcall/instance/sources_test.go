package instance

import (
	"errors"
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
