package natsd

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// X1: what the outside may not publish, nor listen to.
func TestPermissionsOfTheOutside(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir, Listen: "127.0.0.1:0"})
	js := logStream(t, mustConnect(t, s.Connect))
	c, err := Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{
		"rollcall.test.pod.default.x", "rollcall.test.plan.default.x", "rollcall.test.outcome.default.x",
		"rollcall.test.daemonset.default.x", "rollcall.test.node._.x", "rollcall.test.gate.default.x",
		"rollcall.other.gate.submit",
		"$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.DELETE.ROLLCALL_test", "$JS.API.STREAM.UPDATE.ROLLCALL_test",
		"$JS.API.STREAM.PURGE.ROLLCALL_test", "$JS.API.STREAM.MSG.DELETE.ROLLCALL_test",
		"$JS.API.STREAM.INFO.OTHER", "$JS.API.STREAM.SNAPSHOT.ROLLCALL_test", "$JS.API.CONSUMER.CREATE.OTHER",
		"$SYS.REQ.SERVER.PING", "_ROLLCALL.x", "_INBOX.x", "x",
	} {
		err := refusal(t, c.Connect, func(nc *nats.Conn) error { return nc.Publish(subject, []byte("x")) })
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("publish on %s: %v, want a refusal", subject, err)
		}
	}
	for _, subject := range []string{"rollcall.test.>", ">", "*.>", "_ROLLCALL.>", "$JS.>", "$SYS.>", "rollcall.test.gate.*"} {
		err := refusal(t, c.Connect, func(nc *nats.Conn) error { _, err := nc.SubscribeSync(subject); return err })
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("subscribe to %s: %v, want a refusal", subject, err)
		}
	}
	for _, subject := range []string{"rollcall.test.gate.submit", "$SRV.PING"} {
		err := refusal(t, c.Connect, func(nc *nats.Conn) error { return nc.Publish(subject, []byte("x")) })
		if err != nil {
			t.Errorf("publish on %s: %v", subject, err)
		}
	}
	if st, err := js.Stream(t.Context(), "ROLLCALL_test"); err != nil || st.CachedInfo().State.Msgs != 0 {
		t.Errorf("the log has messages from outside: %v, %v", st, err)
	}
}

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
	s := mustStart(t, Options{Dir: dir, Listen: "127.0.0.1:0"})
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
		"$JS.API.DIRECT.GET.ROLLCALL_test.rollcall.test.pod.default.x", "rollcall.test.gate.submit"} {
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

func TestOutsideReadsAndAsks(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir, Listen: "127.0.0.1:0"})
	in := mustConnect(t, s.Connect)
	js := logStream(t, in)
	c, err := Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	outsideMay(t, in, mustConnect(t, c.Connect), js)
}

// outsideMay checks what must work from outside: reading the log, a request to
// the gate. And that a consumer cannot deliver into the log.
func outsideMay(t *testing.T, in, out *nats.Conn, js jetstream.JetStream) {
	t.Helper()
	for range 3 {
		if _, err := js.Publish(t.Context(), "rollcall.test.pod.default.x", []byte("fact")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := in.Subscribe("rollcall.test.gate.submit", func(m *nats.Msg) { _ = m.Respond([]byte("taken")) }); err != nil {
		t.Fatal(err)
	}
	if err := in.Flush(); err != nil {
		t.Fatal(err)
	}
	if m, err := out.RequestWithContext(t.Context(), "rollcall.test.gate.submit", nil); err != nil || string(m.Data) != "taken" {
		t.Errorf("request to the gate: %v, %v", m, err)
	}
	ojs, err := jetstream.New(out)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ojs.OrderedConsumer(t.Context(), "ROLLCALL_test", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	it, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Stop()
	for range 3 {
		if m, err := it.Next(); err != nil || string(m.Data()) != "fact" {
			t.Fatalf("read of the log: %v, %v", m, err)
		}
	}
	st, err := ojs.Stream(t.Context(), "ROLLCALL_test")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := st.GetLastMsgForSubject(t.Context(), "rollcall.test.pod.default.x"); err != nil || m.Sequence != 3 {
		t.Errorf("newest of a subject: %+v, %v", m, err)
	}
	_, err = ojs.CreateConsumer(t.Context(), "ROLLCALL_test", jetstream.ConsumerConfig{DeliverSubject: "rollcall.test.pod.default.x"})
	if err == nil {
		t.Error("a consumer delivers into the log")
	}
}
