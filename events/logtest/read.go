package logtest

import (
	"context"
	"errors"
	"fmt"

	"rollcall/events"
)

func resume(s *suite) {
	es := s.fill(7)
	for after := range events.Seq(8) {
		ids, err := s.read(after)
		if err != nil || len(ids) != 7-int(after) {
			s.Fatalf("read after %d: %d events, %v, want %d", after, len(ids), err, 7-after)
		}
		for i, id := range ids {
			if id != es[int(after)+i].ID {
				s.Fatalf("read after %d: event %d is another", after, i)
			}
		}
	}
}

// readEnds appends while it reads: a read ends where the log ended.
func readEnds(s *suite) {
	s.fill(3)
	n := 0
	for _, err := range s.Log.Read(s.ctx, 0) {
		if err != nil {
			s.Fatal(err)
		}
		n++
		s.append(events.Seq(3+n), events.Expect{}, s.node("more"))
	}
	if n != 3 {
		s.Fatalf("read %d events, want the 3 that were there", n)
	}
}

func stopReading(s *suite) {
	s.fill(5)
	n := 0
	for range s.Log.Read(s.ctx, 0) {
		if n++; n == 2 {
			break
		}
	}
	for e, err := range s.Log.Tail(s.ctx, 3) {
		if err != nil || e.Seq != 4 {
			s.Fatalf("tail after 3: %d, %v", e.Seq, err)
		}
		break
	}
	if ids, err := s.read(0); err != nil || len(ids) != 5 {
		s.Fatalf("read %d events, %v, want 5", len(ids), err)
	}
}

// item is what a tail yields.
type item struct {
	event events.Event
	err   error
}

// follow tails the log in a goroutine. The channel is closed when it ends.
func (s *suite) follow(ctx context.Context, after events.Seq) <-chan item {
	c := make(chan item, 16)
	go func() {
		defer close(c)
		for e, err := range s.Log.Tail(ctx, after) {
			c <- item{e, err}
		}
	}()
	return c
}

func tail(s *suite) {
	s.fill(3)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	c := s.follow(ctx, 1)
	const n = 50
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			e := s.node(fmt.Sprintf("m%d", i))
			if at, err := s.Log.Append(s.ctx, events.Entry{Event: e}); err != nil || at != events.Seq(i+4) {
				s.Errorf("append: %d, %v", at, err)
			}
		}
	}()
	for want := events.Seq(2); want <= 3+n; want++ {
		if it := <-c; it.err != nil || it.event.Seq != want {
			s.Fatalf("tail yielded %d, %v, want %d", it.event.Seq, it.err, want)
		}
	}
	<-done
	// A later one shows that nothing was yielded twice in between.
	s.append(4+n, events.Expect{}, s.node("late"))
	if it := <-c; it.err != nil || it.event.Seq != 4+n {
		s.Fatalf("tail yielded %d, %v, want %d", it.event.Seq, it.err, 4+n)
	}
	cancel()
	if it := <-c; !errors.Is(it.err, context.Canceled) {
		s.Fatalf("tail ended with %v, want the context's error", it.err)
	}
	if it, more := <-c; more {
		s.Fatalf("tail yielded %+v after its error", it)
	}
}

func tailOfTwo(s *suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	a, b := s.follow(ctx, 0), s.follow(ctx, 0)
	s.append(1, events.Expect{}, s.node("a"))
	for _, c := range []<-chan item{a, b} {
		if it := <-c; it.err != nil || it.event.Seq != 1 {
			s.Fatalf("tail yielded %d, %v, want 1", it.event.Seq, it.err)
		}
	}
}

func cancelled(s *suite) {
	s.fill(2)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	n := 0
	for _, err := range s.Log.Read(ctx, 0) {
		if n++; n == 1 {
			cancel()
			continue
		}
		if !errors.Is(err, context.Canceled) {
			s.Errorf("read of a cancelled context: %v", err)
		}
	}
	if n != 2 {
		s.Errorf("read yielded %d times, want an event and an error", n)
	}
	if _, err := s.Log.Append(ctx, events.Entry{Event: s.node("a")}); !errors.Is(err, context.Canceled) {
		s.Errorf("append with a cancelled context: %v", err)
	}
	if _, _, err := s.Log.Latest(ctx, s.on("n1", 0).Subject); !errors.Is(err, context.Canceled) {
		s.Errorf("Latest with a cancelled context: %v", err)
	}
	if _, err := s.Log.Info(ctx); !errors.Is(err, context.Canceled) {
		s.Errorf("Info with a cancelled context: %v", err)
	}
	if ids, err := s.read(0); err != nil || len(ids) != 2 {
		s.Errorf("the log has %d events, %v, want 2", len(ids), err)
	}
}

func unreadable(s *suite) {
	s.fill(1)
	subject := s.on("a", 0).Subject
	s.AppendRaw(s.T, subject, []byte("not an event"))
	s.AppendRaw(s.T, subject, nil)
	s.append(4, s.on("a", 3), s.node("a"))
	var codes []string
	for e, err := range s.Log.Read(s.ctx, 0) {
		if err != nil {
			s.Fatal(err)
		}
		if b, ok := e.Body.(events.Unreadable); ok {
			codes = append(codes, fmt.Sprintf("%d %s", e.Seq, b.Code))
		}
	}
	if len(codes) != 2 || codes[0] != "2 E-EVT-MSGPACK" || codes[1] != "3 E-EVT-EMPTY" {
		s.Fatalf("unreadable events %q, want those at 2 and 3", codes)
	}
}

func gap(s *suite) {
	s.fill(5)
	s.Remove(s.T, 3)
	ids, err := s.read(0)
	s.wantCode(err, events.ErrGap, "E-LOG-GAP")
	if len(ids) != 2 {
		s.Errorf("read %d events before the gap, want 2", len(ids))
	}
	if ids, err := s.read(3); err != nil || len(ids) != 2 {
		s.Errorf("read %d events after the gap, %v, want 2", len(ids), err)
	}
	n := 0
	for e, err := range s.Log.Tail(s.ctx, 1) {
		if n++; n == 1 && err == nil && e.Seq == 2 {
			continue
		}
		s.wantCode(err, events.ErrGap, "E-LOG-GAP")
	}
	if n != 2 {
		s.Errorf("tail yielded %d times, want an event and the gap", n)
	}
	s.Remove(s.T, 1)
	_, err = s.read(0)
	s.wantCode(err, events.ErrGap, "E-LOG-GAP")
}

func gapAtTheEnd(s *suite) {
	s.fill(4)
	s.Remove(s.T, 4)
	s.Remove(s.T, 3)
	ids, err := s.read(0)
	s.wantCode(err, events.ErrGap, "E-LOG-GAP")
	if len(ids) != 2 {
		s.Errorf("read %d events before the gap, want 2", len(ids))
	}
	_, err = s.read(2)
	s.wantCode(err, events.ErrGap, "E-LOG-GAP")
}

func truncated(s *suite) {
	s.fill(2)
	_, err := s.read(3)
	s.wantCode(err, events.ErrTruncated, "E-LOG-TRUNCATED")
	for _, err := range s.Log.Tail(s.ctx, 3) {
		s.wantCode(err, events.ErrTruncated, "E-LOG-TRUNCATED")
	}
	if ids, err := s.read(2); err != nil || len(ids) != 0 {
		s.Errorf("read at the end: %d events, %v", len(ids), err)
	}
}

func another(s *suite) {
	s.fill(3)
	before, err := s.Log.Info(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	same, err := s.Other(s.T).Info(s.ctx)
	if err != nil || same != before {
		s.Errorf("the same log is %+v, %v, want %+v", same, err, before)
	}
	s.Recreate(s.T)
	after, err := s.Log.Info(s.ctx)
	if err != nil || after.ID == before.ID || after.Last != 0 {
		s.Errorf("another log is %+v, %v, was %+v", after, err, before)
	}
	_, err = s.read(3)
	s.wantCode(err, events.ErrTruncated, "E-LOG-TRUNCATED")
}

// tailAnother replaces the log under a tail, which must not go on in the new
// one, also where that has the position.
func tailAnother(s *suite) {
	s.fill(2)
	c := s.follow(s.ctx, 0)
	for range 2 {
		if it := <-c; it.err != nil {
			s.Fatal(it.err)
		}
	}
	s.Recreate(s.T)
	s.fill(3)
	it := <-c
	s.wantCode(it.err, events.ErrRewritten, "E-LOG-REWRITTEN")
}

func latest(s *suite) {
	if e, ok, err := s.Log.Latest(s.ctx, s.on("a", 0).Subject); err != nil || ok {
		s.Fatalf("Latest of an empty log = %+v, %v, %v", e, ok, err)
	}
	a := s.node("a")
	s.append(2, events.Expect{}, s.node("a"), a)
	s.append(3, events.Expect{}, s.node("b"))
	e, ok, err := s.Log.Latest(s.ctx, s.on("a", 0).Subject)
	if err != nil || !ok || e.ID != a.ID || e.Seq != 2 || e.Stored.IsZero() {
		s.Fatalf("Latest = %+v, %v, %v, want the second event", e, ok, err)
	}
	if _, ok, err := s.Log.Latest(s.ctx, s.on("c", 0).Subject); err != nil || ok {
		s.Fatalf("Latest of a subject without events: %v, %v", ok, err)
	}
}
