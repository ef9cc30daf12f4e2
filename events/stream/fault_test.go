package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/natsd"
)

func node(name string, id int) events.Event {
	var u ulid.ULID
	copy(u[6:], fmt.Sprintf("%010d", id))
	return events.Event{ID: u, Type: events.ObjectType(events.Node, events.VerbUpdated), Source: "test",
		Body: events.Object{Ref: events.Ref{Kind: events.Node, Key: events.Key{Name: name}}, Data: []byte{0x80}}}
}

// cutter hands out connections to a server and cuts them.
type cutter struct {
	server *natsd.Server
	mu     sync.Mutex
	conn   net.Conn
}

func (c *cutter) InProcessConn() (net.Conn, error) {
	conn, err := c.server.InProcessConn()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.Close()
}

// openCut opens the log through connections that can be cut.
func openCut(t *testing.T, s *natsd.Server) (*Log, *cutter) {
	t.Helper()
	c := &cutter{server: s}
	nc, err := s.Connect(nats.InProcessServer(c), nats.ReconnectWait(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l, err := Open(t.Context(), nc, mustSubjects(t), Options{Create: true, AckTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return l, c
}

func TestTailGoesOnOverCuts(t *testing.T) {
	s := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	l, c := openCut(t, s)
	writer, err := Open(t.Context(), mustConnect(t, s), mustSubjects(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	appended := 0
	appendSome := func() {
		for range 10 {
			appended++
			if _, err := writer.Append(ctx, events.Entry{Event: node("a", appended)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	appendSome()
	read := 0
	for e, err := range l.Tail(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if read++; e.Seq != events.Seq(read) {
			t.Fatalf("tail yielded %d, want %d", e.Seq, read)
		}
		if read < appended {
			continue
		}
		if appended == 40 {
			break
		}
		c.cut()
		appendSome()
	}
}

func TestTailGoesOnWithoutItsConsumer(t *testing.T) {
	s := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	l, err := Open(t.Context(), mustConnect(t, s), mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), events.Entry{Event: node("a", 1)}); err != nil {
		t.Fatal(err)
	}
	read := 0
	for e, err := range l.Tail(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if read++; e.Seq != events.Seq(read) {
			t.Fatalf("tail yielded %d, want %d", e.Seq, read)
		}
		if read == 3 {
			break
		}
		st, err := l.js.Stream(t.Context(), l.subjects.Stream())
		if err != nil {
			t.Fatal(err)
		}
		names := 0
		for name := range st.ConsumerNames(t.Context()).Name() {
			names++
			if err := st.DeleteConsumer(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if names == 0 { // two are there while a heartbeat is late
			t.Fatal("the tail has no consumer")
		}
		if _, err := l.Append(t.Context(), events.Entry{Event: node("a", read+1)}); err != nil {
			t.Fatal(err)
		}
	}
}

// F-S7: appends with unknown outcomes are made again until they are known.
func TestAppendsOverCuts(t *testing.T) {
	s := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	l, c := openCut(t, s)
	const n = 60
	var wg sync.WaitGroup
	unknown := make(chan error, 1000)
	at := make([]events.Seq, n)
	for i := range n {
		name := fmt.Sprintf("n%d", i)
		x := events.Expect{Subject: l.subjects.Object(events.Node, events.Key{Name: name})}
		wg.Go(func() {
			if i%20 == 10 {
				c.cut()
			}
			seq, err := l.Append(t.Context(), events.Entry{Event: node(name, i), Expect: x})
			for errors.Is(err, events.ErrUnknown) || errors.Is(err, events.ErrUnavailable) {
				if errors.Is(err, events.ErrUnavailable) {
					pause(t.Context(), firstPause)
				} else {
					unknown <- err
				}
				seq, err = l.Append(t.Context(), events.Entry{Event: node(name, i), Expect: x})
			}
			if err != nil {
				t.Error(err)
			}
			at[i] = seq
		})
	}
	wg.Wait()
	t.Logf("%d unknown outcomes", len(unknown))
	reader, err := Open(t.Context(), mustConnect(t, s), mustSubjects(t), Options{}) // which gives the server its time
	if err != nil {
		t.Fatal(err)
	}
	stored := map[ulid.ULID]events.Seq{}
	for e, err := range reader.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if first, ok := stored[e.ID]; ok {
			t.Errorf("event %s is at %d and at %d", e.ID, first, e.Seq)
		}
		stored[e.ID] = e.Seq
	}
	for i, seq := range at {
		if got := stored[node("", i).ID]; got != seq || seq == 0 {
			t.Errorf("append %d was told %d, is at %d", i, seq, got)
		}
	}
}

// A batch whose answer is lost is unknown to each of its appends, and known
// when they are made again.
func TestLostAnswerOfABatch(t *testing.T) {
	l, err := Open(t.Context(), mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed})), mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	var round []*batch
	for i := range 20 {
		name := fmt.Sprintf("n%d", i)
		en, err := l.batch(t.Context(), []events.Entry{{Event: node(name, i), Expect: events.Expect{Subject: l.subjects.Object(events.Node, events.Key{Name: name})}}})
		if err != nil {
			t.Fatal(err)
		}
		round = append(round, en)
	}
	loseAck(l)
	<-l.sendTogether(round, nil)
	for i, en := range round {
		if r := <-en.done; !errors.Is(r.err, events.ErrUnknown) {
			t.Fatalf("append %d: %+v, want an unknown outcome", i, r)
		}
	}
	for i, en := range round {
		if r := l.send(en); r.err != nil || r.seq != events.Seq(i+1) {
			t.Errorf("append %d again: %+v, want position %d", i, r, i+1)
		}
	}
}

// An append that never left the queue is not in the log and says so.
func TestCancelledInTheQueue(t *testing.T) {
	l, err := Open(t.Context(), mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed})), mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	sent, release := make(chan struct{}), make(chan struct{})
	real := l.request
	l.request = func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
		close(sent)
		<-release
		l.request = real
		return real(ctx, m)
	}
	first := make(chan error)
	go func() {
		_, err := l.Append(t.Context(), events.Entry{Event: node("a", 1)})
		first <- err
	}()
	<-sent
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	go func() {
		_, err := l.Append(ctx, events.Entry{Event: node("b", 2)})
		second <- err
	}()
	for queued := 0; queued == 0; runtime.Gosched() {
		l.mu.Lock()
		queued = len(l.queue)
		l.mu.Unlock()
	}
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) || errors.Is(err, events.ErrUnknown) {
		t.Errorf("cancelled in the queue: %v, want the context's error alone", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if in, err := l.Info(t.Context()); err != nil || in.Last != 1 {
		t.Errorf("the log ends at %d (%v), want 1", in.Last, err)
	}
}

// What is acknowledged is there after a stop and a start, with its ids, its
// fences and its identity.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	open := func() (*Log, func()) {
		s, err := natsd.Start(t.Context(), natsd.Options{Dir: dir, Cluster: "test"})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := s.Connect()
		if err != nil {
			t.Fatal(err)
		}
		l, err := Open(t.Context(), nc, mustSubjects(t), Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		return l, func() {
			nc.Close()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, stop := open()
	const n = 50
	for i := range n {
		if _, err := l.Append(t.Context(), events.Entry{Event: node("a", i)}); err != nil {
			t.Fatal(err)
		}
	}
	before, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop()
	l, stop = open()
	defer stop()
	if after, err := l.Info(t.Context()); err != nil || after != before {
		t.Fatalf("after a restart the log is %+v (%v), was %+v", after, err, before)
	}
	read := 0
	for e, err := range l.Read(t.Context(), 0) {
		if err != nil || e.ID != node("a", read).ID {
			t.Fatalf("position %d: %s, %v", e.Seq, e.ID, err)
		}
		read++
	}
	if read != n {
		t.Fatalf("read %d events, want %d", read, n)
	}
	if at, err := l.Append(t.Context(), events.Entry{Event: node("a", 7)}); err != nil || at != 8 {
		t.Errorf("an event from before the restart: %d, %v, want position 8", at, err)
	}
	x := events.Expect{Subject: l.subjects.Object(events.Node, events.Key{Name: "a"}), Last: n - 1}
	if _, err := l.Append(t.Context(), events.Entry{Event: node("a", n), Expect: x}); !errors.Is(err, events.ErrConflict) {
		t.Errorf("a stale fence after a restart: %v, want a conflict", err)
	}
}

// Beyond the server's memory of ids, an append that is made again under its
// fence still finds itself.
func TestSameAppendAfterTheDuplicateWindow(t *testing.T) {
	o := Options{MemoryStorage: true}
	nc := mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed}))
	l, err := attach(nc, mustSubjects(t), o)
	if err != nil {
		t.Fatal(err)
	}
	c := config(l.subjects, o)
	c.Duplicates = 100 * time.Millisecond // the shortest that a server takes
	if _, err := l.js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	a := l.subjects.Object(events.Node, events.Key{Name: "a"})
	plan := []events.Entry{{Event: node("a", 2), Expect: events.Expect{Subject: a, Last: 1}}, {Event: node("b", 3)}}
	if _, err := l.Append(t.Context(), events.Entry{Event: node("a", 1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), plan...); err != nil {
		t.Fatal(err)
	}
	// Until the server takes the first id anew it may still know the others.
	for last := events.Seq(3); last == 3; {
		if last, err = l.Append(t.Context(), events.Entry{Event: node("b", 3)}); err != nil {
			t.Fatal(err)
		}
	}
	in, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if at, err := l.Append(t.Context(), plan...); err != nil || at != 3 {
		t.Errorf("the same append: %d, %v, want position 3", at, err)
	}
	if now, err := l.Info(t.Context()); err != nil || now != in {
		t.Errorf("the log is %+v (%v), was %+v", now, err, in)
	}
}

// A reader that has to begin again in a stream of the same name does not go on,
// also where that stream has the position.
func TestReaderKnowsItsStream(t *testing.T) {
	l := weakLog(t, mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed})), Options{MemoryStorage: true})
	fill := func() {
		for i := range 3 {
			if _, err := l.Append(t.Context(), events.Entry{Event: node("a", i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill()
	r := &reader{place: &place{log: l, at: 1}}
	if err := r.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.js.DeleteStream(t.Context(), l.subjects.Stream()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.js.CreateStream(t.Context(), config(l.subjects, Options{MemoryStorage: true})); err != nil {
		t.Fatal(err)
	}
	fill()
	if e, err := r.next(t.Context()); !errors.Is(err, events.ErrRewritten) {
		t.Errorf("read position %d of another stream, %v", e.Seq, err)
	}
}
