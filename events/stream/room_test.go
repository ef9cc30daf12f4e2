package stream

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
	"rollcall/events/natsd"
)

// Without room an append is refused at once and nothing of it is stored; with
// room it goes on, without anybody's help.
//
// finding H7
func TestAppendsWaitForRoom(t *testing.T) {
	var full atomic.Bool
	room := func(n int64) error {
		if full.Load() {
			return events.Full("here", "no room", "make some")
		}
		return nil
	}
	l, err := Open(t.Context(), mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed})), mustSubjects(t),
		Options{Create: true, Room: room})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Health(); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	_, err = l.Append(t.Context(), events.Entry{Event: node("a", 1)})
	wantCode(t, err, "E-LOG-FULL")
	if !errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrUnknown) {
		t.Errorf("%v, want one that says that nothing was stored", err)
	}
	wantCode(t, l.Health(), "E-LOG-FULL")
	full.Store(false)
	if err := l.Health(); err != nil {
		t.Errorf("health with room: %v", err)
	}
	if seq, err := l.Append(t.Context(), events.Entry{Event: node("a", 2)}); err != nil || seq != 1 {
		t.Errorf("append with room: %d, %v, want position 1", seq, err)
	}
}

// A full store of a server elsewhere is known by its answers.
func TestServerWithoutRoom(t *testing.T) {
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		JetStreamMaxStore: 64 << 10, JetStreamMaxMemory: 1 << 20, DisableJetStreamBanner: true}
	s := startServer(t, o)
	if !s.ReadyForConnections(10e9) {
		t.Fatal("the server does not start")
	}
	l, err := Open(t.Context(), servers{s}.connect(t), mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	for id := 1; ; id++ {
		_, err := l.Append(t.Context(), events.Entry{Event: podFact(id)})
		if err == nil && id < 1000 {
			continue
		}
		wantCode(t, err, "E-LOG-FULL")
		break
	}
	wantCode(t, l.Health(), "E-LOG-FULL")
}

// An event is as large as Kubernetes' objects are. A server that takes less is
// named by its limit.
//
// finding c13
func TestLargeEvents(t *testing.T) {
	large := func(n int) events.Event {
		e := node("a", n)
		o := e.Body.(events.Object)
		o.Data = append([]byte{0x81, 0xa1, 'd', 0xc6, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, n)...)
		e.Body = o
		return e
	}
	l, err := Open(t.Context(), mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed})), mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	// A request of 1.5 MiB whose bytes are written in base64, and half of that again.
	if _, err := l.Append(t.Context(), events.Entry{Event: large(2<<20 + 700<<10)}); err != nil {
		t.Errorf("an event of 2.7 MiB: %v", err)
	}
	small := startServer(t, &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true,
		StoreDir: t.TempDir(), MaxPayload: 1 << 20, DisableJetStreamBanner: true})
	if !small.ReadyForConnections(10e9) {
		t.Fatal("the server does not start")
	}
	l, err = Open(t.Context(), servers{small}.connect(t), mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Append(t.Context(), events.Entry{Event: large(1 << 20)})
	wantCode(t, err, "E-EVT-SIZE")
	var e *events.Error
	if errors.As(err, &e); e.Why != "the log takes at most 1044480" {
		t.Errorf("the refusal says %q, want the limit of the server", e.Why)
	}
	if _, err := l.Append(t.Context(), events.Entry{Event: large(1<<20 - 8<<10)}); err != nil {
		t.Errorf("an event that the server takes: %v", err)
	}
}

// A stream that was made for smaller events is widened by who writes it, and
// read as it is by others.
//
// finding c13
func TestOlderStreamIsWidened(t *testing.T) {
	nc := mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed}))
	l, err := attach(nc, mustSubjects(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := config(l.subjects, Options{})
	c.MaxMsgSize = 1 << 20
	if _, err := l.js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), events.Entry{Event: node("a", 1)}); err != nil {
		t.Fatal(err)
	}
	before, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	size := func() int32 {
		i, err := l.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return i.Config.MaxMsgSize
	}
	if _, err := Open(t.Context(), nc, l.subjects, Options{}); err != nil || size() != 1<<20 {
		t.Errorf("opened by a reader: %v, messages of %d", err, size())
	}
	if _, err := Open(t.Context(), nc, l.subjects, Options{Create: true}); err != nil || size() != events.MaxMessage {
		t.Errorf("opened by a writer: %v, messages of %d", err, size())
	}
	if after, err := l.Info(t.Context()); err != nil || after != before {
		t.Errorf("the log is %+v (%v), was %+v", after, err, before)
	}
}

// Those outside follow a log without a consumer.
//
// finding M4
func TestOutsideFollows(t *testing.T) {
	dir := t.TempDir()
	s := mustServer(t, natsd.Options{Dir: dir, Durability: natsd.Relaxed, Listen: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}})
	l, err := Open(t.Context(), mustConnect(t, s), mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := natsd.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	out, err := Open(t.Context(), nc, l.subjects, Options{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	const n = 3 * directBatch / 2 // more than one request
	appended := 0
	for range n / maxBatch {
		var es []events.Entry
		for range maxBatch {
			appended++
			es = append(es, events.Entry{Event: node("a", appended)})
		}
		if _, err := l.Append(t.Context(), es...); err != nil {
			t.Fatal(err)
		}
	}
	read := 0
	for e, err := range out.Tail(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		read++
		if e.Seq != events.Seq(read) || e.ID != node("", read).ID || e.Stored.IsZero() {
			t.Fatalf("event %d is %+v", read, e)
		}
		if read == n+3 {
			break
		}
		if read >= n {
			appended++
			if _, err := l.Append(t.Context(), events.Entry{Event: node("a", appended)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	i, err := l.look(t.Context())
	if err != nil || i.State.Consumers != 0 {
		t.Errorf("%d consumers (%v) for a reader outside", i.State.Consumers, err)
	}
}
