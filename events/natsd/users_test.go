package natsd

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// refusal returns what the server says to do on a connection of its own. The
// client keeps a refusal before it reads the answer to the ping of Flush.
func refusal(t *testing.T, connect func(...nats.Option) (*nats.Conn, error), do func(*nats.Conn) error) error {
	t.Helper()
	nc, err := connect(nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := do(nc); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return nc.LastError()
}

// An answer goes where its request says: it must not go into the log.
func TestAnswersStayOutOfTheLog(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir, Listen: loopback})
	js := logStream(t, mustConnect(t, s.Connect))
	if _, err := js.Publish(t.Context(), "rollcall.test.pod.default.x", []byte("fact")); err != nil {
		t.Fatal(err)
	}
	c, err := Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	next := "$JS.API.CONSUMER.MSG.NEXT.ROLLCALL_test.c"
	if _, err := js.CreateConsumer(t.Context(), "ROLLCALL_test", jetstream.ConsumerConfig{Name: "c", AckPolicy: jetstream.AckNonePolicy}); err != nil {
		t.Fatal(err)
	}
	out := mustConnect(t, c.Connect)
	for _, subject := range []string{"$JS.API.STREAM.INFO.ROLLCALL_test", next,
		"$JS.API.DIRECT.GET.ROLLCALL_test.rollcall.test.pod.default.x", "rollcall.test.gate.as.cli.submit"} {
		if err := out.PublishRequest(subject, "rollcall.test.pod.default.x", nil); err != nil {
			t.Fatal(err)
		}
	}
	// Requests of one connection are answered in order.
	ojs, err := jetstream.New(out)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := ojs.Stream(t.Context(), "ROLLCALL_test"); err != nil {
			t.Fatal(err)
		}
	}
	st, err := js.Stream(t.Context(), "ROLLCALL_test")
	if err != nil || st.CachedInfo().State.LastSeq != 1 {
		t.Errorf("answers were stored in the log: %+v, %v", st.CachedInfo().State, err)
	}
}

// A request to the gate is answered to who made it; its subject says who that
// is, and nobody else can say so or hear the answer.
//
// finding M4
func TestUsersOutsideAreApart(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir, Listen: loopback, Users: []string{"ann", "bob"}})
	ann, err := Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	bob := ann
	b, err := os.ReadFile(filepath.Join(dir, "connection-bob.json"))
	if err != nil || json.Unmarshal(b, &bob) != nil {
		t.Fatal(err)
	}
	if bob.User != "bob" || ann.User != "ann" || bob.Password == ann.Password {
		t.Fatalf("users %+v and %+v", ann, bob)
	}
	in := mustConnect(t, s.Connect)
	if _, err := in.Subscribe("rollcall.test.gate.as.*.submit", func(m *nats.Msg) { _ = m.Respond([]byte(m.Subject)) }); err != nil {
		t.Fatal(err)
	}
	if err := in.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Connection{ann, bob} {
		m, err := mustConnect(t, c.Connect).Request("rollcall.test.gate.as."+c.User+".submit", nil, patience)
		if err != nil || string(m.Data) != "rollcall.test.gate.as."+c.User+".submit" {
			t.Errorf("request of %s: %v, %v", c.User, m, err)
		}
	}
	for what, do := range map[string]func(nc *nats.Conn) error{
		"speaks as another":        func(nc *nats.Conn) error { return nc.Publish("rollcall.test.gate.as.ann.submit", nil) },
		"hears another's requests": func(nc *nats.Conn) error { _, err := nc.SubscribeSync("rollcall.test.gate.as.ann.*"); return err },
	} {
		if err := refusal(t, bob.Connect, do); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("a user %s: %v, want a refusal", what, err)
		}
	}
	for _, name := range []string{"rollcall", "a.b", "*", "", "ann ", "\x00"} {
		_, err := Start(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "d"), Cluster: "test", Users: []string{name}})
		wantCode(t, err, "E-CLI-USER", events.ExitInput)
	}
}

// What must work from outside: reading the log, and a request to the gate.
func TestOutsideReadsAndAsks(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir, Listen: loopback})
	in := mustConnect(t, s.Connect)
	js := logStream(t, in)
	c, err := Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := js.Publish(t.Context(), "rollcall.test.pod.default.x", []byte("fact")); err != nil {
			t.Fatal(err)
		}
	}
	out, err := jetstream.New(mustConnect(t, c.Connect))
	if err != nil {
		t.Fatal(err)
	}
	st, err := out.Stream(t.Context(), "ROLLCALL_test")
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(3) {
		if m, err := st.GetMsg(t.Context(), seq+1); err != nil || string(m.Data) != "fact" {
			t.Fatalf("read of position %d: %+v, %v", seq+1, m, err)
		}
	}
	if m, err := st.GetLastMsgForSubject(t.Context(), "rollcall.test.pod.default.x"); err != nil || m.Sequence != 3 {
		t.Errorf("newest of a subject: %+v, %v", m, err)
	}
}

// Who was told the port and the password need not be told again.
//
// finding U11
func TestSameAddressAfterARestart(t *testing.T) {
	dir := t.TempDir()
	start := func(o Options) (*Server, Connection) {
		o.Dir = dir
		s := mustStart(t, o)
		c, err := Attach(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s, c
	}
	stop := func(s *Server) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, connectionFile)); err == nil {
			t.Error("a server that has stopped says how to reach it")
		}
	}
	s, first := start(Options{Listen: loopback})
	stop(s)
	if fi, err := os.Stat(filepath.Join(dir, identityFile)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("what is kept: %v, %v, want mode 0600", fi, err)
	}
	s, second := start(Options{Listen: loopback})
	if second.URL != first.URL || second.User != first.User || second.Password != first.Password {
		t.Errorf("after a restart %+v, was %+v", second, first)
	}
	stop(s)
	// Somebody else has the port: another one is taken, and kept.
	l, err := net.Listen("tcp", strings.TrimPrefix(first.URL, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, third := start(Options{Listen: loopback})
	if third.URL == first.URL || third.Password != first.Password {
		t.Errorf("beside a taken port %+v, was %+v", third, first)
	}
	stop(s)
	s, fourth := start(Options{Listen: loopback, Users: []string{DefaultUser, "ann"}})
	if fourth.URL != third.URL {
		t.Errorf("the other port is not kept: %s, was %s", fourth.URL, third.URL)
	}
	stop(s)
}
