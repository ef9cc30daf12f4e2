package logtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rollcall/events"
)

func order(s *suite) {
	es := s.fill(3)
	more := []events.Event{s.node("n1"), s.node("n1"), s.node("n4")}
	s.append(6, events.Expect{}, more...)
	s.want(append(es, more...)...)
	if in, err := s.Log.Info(s.ctx); err != nil || in.Last != 6 || in.ID == "" {
		s.Fatalf("Info() = %+v, %v, want an id and last position 6", in, err)
	}
}

func fields(s *suite) {
	e := s.node("a.b.c")
	e.Actor, e.Cause = "someone", events.Cause{Seq: 7, Index: 2}
	e.Verb, e.Manager, e.Change = "patch", "kubectl-edit", "label a=b"
	before := time.Now().Add(-time.Minute)
	s.append(1, events.Expect{}, e)
	raw, err := events.Encode(e)
	if err != nil {
		s.Fatal(err)
	}
	for got, err := range s.Log.Read(s.ctx, 0) {
		if err != nil {
			s.Fatal(err)
		}
		if !bytes.Equal(got.Raw, raw) {
			s.Errorf("the log holds %x, want %x", got.Raw, raw)
		}
		if got.Stored.Before(before) || got.Stored.After(time.Now().Add(time.Minute)) {
			s.Errorf("stored at %v, want about now", got.Stored)
		}
		b, ok := got.Body.(events.Object)
		want := e.Body.(events.Object)
		if !ok || b.Ref != want.Ref || !bytes.Equal(b.Data, want.Data) {
			s.Errorf("body %+v, want %+v", got.Body, want)
		}
		if got.ID != e.ID || got.Type != e.Type || got.Actor != e.Actor || got.Verb != e.Verb || got.Manager != e.Manager || got.Change != e.Change || got.Cause != e.Cause || !got.At.Equal(e.At) {
			s.Errorf("read %+v, want %+v", got, e)
		}
	}
}

func nothingToAppend(s *suite) {
	if _, err := s.Log.Append(s.ctx); err == nil {
		s.Error("an append of nothing succeeded")
	}
	if _, err := s.Log.Append(s.ctx, events.Entry{Event: s.node("a"), Expect: events.Expect{Last: 3}}); err == nil {
		s.Error("an expectation of no subject was taken")
	}
	noID := s.node("a")
	noID.ID = [16]byte{}
	if _, err := s.Log.Append(s.ctx, events.Entry{Event: noID}); err == nil {
		s.Error("an event without an id was taken")
	}
	if _, err := s.Log.Append(s.ctx, events.Entry{Event: s.node("a.>")}); err == nil {
		s.Error("a wildcard was taken for a name")
	}
	s.want()
}

func fence(s *suite) {
	a, b, c := s.node("a"), s.node("b"), s.node("a")
	s.append(1, s.on("a", 0), a)
	s.append(2, s.on("b", 0), b)
	s.refuse(events.ErrConflict, s.on("a", 0), s.node("a"))
	s.refuse(events.ErrConflict, s.on("a", 2), s.node("a"))
	s.refuse(events.ErrConflict, s.on("a", 9), s.node("a"))
	s.want(a, b)
	s.append(3, s.on("a", 1), c)
	s.want(a, b, c)
}

func fenceOfAnotherSubject(s *suite) {
	a, b, c := s.node("a"), s.node("b"), s.node("c")
	s.append(1, events.Expect{}, a)
	s.append(2, s.on("a", 1), b)
	s.refuse(events.ErrConflict, s.on("b", 0), s.node("a"))
	s.append(3, s.on("a", 1), c)
	s.want(a, b, c)
}

func race(s *suite) {
	logs := []events.Log{s.Log, s.Other(s.T)}
	a := s.node("a")
	s.append(1, events.Expect{}, a)
	last := events.Seq(1)
	for round := range 20 {
		es := []events.Event{s.node("a"), s.node("a")}
		errs, at := make([]error, 2), make([]events.Seq, 2)
		var wg sync.WaitGroup
		for i, l := range logs {
			wg.Go(func() { at[i], errs[i] = l.Append(s.ctx, events.Entry{Event: es[i], Expect: s.on("a", last)}) })
		}
		wg.Wait()
		won := slices.Index(errs, nil)
		if won < 0 || !errors.Is(errs[1-won], events.ErrConflict) {
			s.Fatalf("round %d: %v and %v, want one success and one conflict", round, errs[0], errs[1])
		}
		if at[won] != last+1 {
			s.Fatalf("round %d: stored at %d, want %d", round, at[won], last+1)
		}
		last = at[won]
	}
}

func tombstone(s *suite) {
	a, g, b := s.node("a"), s.gone("a"), s.node("a")
	s.append(1, s.on("a", 0), a)
	s.append(2, s.on("a", 1), g)
	s.refuse(events.ErrConflict, s.on("a", 0), s.node("a"))
	e, ok, err := s.Log.Latest(s.ctx, s.on("a", 0).Subject)
	if _, isGone := e.Body.(events.Gone); err != nil || !ok || !isGone || e.Seq != 2 {
		s.Fatalf("Latest = %+v, %v, %v, want the tombstone at 2", e, ok, err)
	}
	s.append(3, s.on("a", e.Seq), b)
	s.want(a, g, b)
}

func duplicate(s *suite) {
	es := s.fill(3)
	s.append(1, events.Expect{}, es[0])
	s.append(2, events.Expect{}, es[1])
	s.append(2, events.Expect{}, es[0], es[1])
	s.want(es...)
}

func duplicateStale(s *suite) {
	a, b, c := s.node("a"), s.node("a"), s.node("a")
	s.append(1, s.on("a", 0), a)
	s.append(2, s.on("a", 1), b)
	s.append(3, s.on("a", 2), c)
	s.append(1, s.on("a", 0), a) // the same append again
	s.append(2, s.on("a", 1), b)
	s.append(1, s.on("a", 2), a) // another expectation, which fails too
	s.append(2, s.on("a", 9), b)
	s.append(2, s.on("z", 9), a, b)
	s.want(a, b, c)
}

func duplicateInOneAppend(s *suite) {
	a, b := s.node("a"), s.node("b")
	s.append(2, events.Expect{}, a, b, b)
	s.append(1, events.Expect{}, b, a)
	s.want(a, b)
}

func unknown(s *suite) {
	a, b := s.node("a"), s.node("a")
	s.LoseAck(s.T)
	s.refuse(events.ErrUnknown, events.Expect{}, a)
	s.append(2, events.Expect{}, b)
	s.append(1, events.Expect{}, a)
	s.want(a, b)
}

func unknownFenced(s *suite) {
	a, b, c := s.node("a"), s.node("a"), s.node("a")
	s.LoseAck(s.T)
	s.refuse(events.ErrUnknown, s.on("a", 0), a)
	s.append(1, s.on("a", 0), a)
	s.LoseAck(s.T)
	s.refuse(events.ErrUnknown, s.on("a", 1), b)
	s.append(3, s.on("a", 2), c) // somebody who has read it goes on
	s.append(2, s.on("a", 1), b)
	s.refuse(events.ErrConflict, s.on("a", 1), s.node("a"))
	s.want(a, b, c)
}

func unknownSeveral(s *suite) {
	es := []events.Event{s.node("a"), s.node("b"), s.node("a")}
	s.LoseAck(s.T)
	s.refuse(events.ErrUnknown, s.on("a", 0), es...)
	s.append(3, s.on("a", 0), es...)
	s.append(3, events.Expect{}, es...)
	s.want(es...)
}

func several(s *suite) {
	a, b := s.node("a"), s.node("b")
	s.append(1, events.Expect{}, a)
	s.refuse(events.ErrConflict, s.on("b", 1), s.node("a"), s.node("b"), s.node("c"))
	s.refuse(events.ErrConflict, s.on("a", 0), s.node("b"), s.node("a"), s.node("c"))
	bad := s.node("c")
	bad.Body = nil
	if _, err := s.Log.Append(s.ctx, events.Entry{Event: s.node("a")}, events.Entry{Event: bad}); err == nil {
		s.Fatal("an event without a body was taken")
	}
	s.want(a)
	c := s.node("a")
	s.append(3, s.on("a", 1), b, c)
	s.want(a, b, c)
}

func partlyStored(s *suite) {
	a, b, c := s.node("a"), s.node("b"), s.node("c")
	s.append(1, events.Expect{}, b)
	s.append(3, s.on("b", 1), a, b, c)
	s.want(b, a, c)
	s.refuseAll(events.ErrConflict, events.Entry{Event: a}, events.Entry{Event: s.node("d"), Expect: s.on("b", 7)})
	s.want(b, a, c)
}

// severalFences: each event has its own expectation, and one that does not hold,
// wherever it is, stores nothing.
func severalFences(s *suite) {
	a, b, c := s.node("a"), s.node("b"), s.node("c")
	s.append(2, events.Expect{}, a, b)
	on := func(name string, last events.Seq) events.Entry {
		return events.Entry{Event: s.node(name), Expect: s.on(name, last)}
	}
	s.refuseAll(events.ErrConflict, on("a", 1), on("b", 1), on("c", 0))
	s.refuseAll(events.ErrConflict, on("a", 0), on("b", 2), on("c", 0))
	s.refuseAll(events.ErrConflict, on("a", 1), on("b", 2), on("c", 3))
	s.want(a, b)
	x, y := on("a", 1), on("b", 2)
	x.Event.ID, y.Event.ID = s.id(), s.id()
	s.appendAll(5, x, y, events.Entry{Event: c, Expect: s.on("c", 0)})
	s.want(a, b, x.Event, y.Event, c)
}

// severalFencesUnknown: the same append finds itself; another that expects the
// same is refused.
func severalFencesUnknown(s *suite) {
	a, b := s.node("a"), s.node("b")
	s.append(2, events.Expect{}, a, b)
	es := []events.Entry{{Event: s.node("a"), Expect: s.on("a", 1)}, {Event: s.node("b"), Expect: s.on("b", 2)}}
	s.LoseAck(s.T)
	s.refuseAll(events.ErrUnknown, es...)
	s.appendAll(4, es...)
	s.refuseAll(events.ErrConflict, events.Entry{Event: s.node("a"), Expect: s.on("a", 1)}, events.Entry{Event: s.node("b"), Expect: s.on("b", 2)})
	s.want(a, b, es[0].Event, es[1].Event)
}

// contradiction: what an entry writes cannot be expected of by a later one, and
// nothing can be by two.
func contradiction(s *suite) {
	for _, es := range [][]events.Entry{
		{{Event: s.node("a")}, {Event: s.node("a"), Expect: s.on("a", 0)}},
		{{Event: s.node("a"), Expect: s.on("b", 0)}, {Event: s.node("b"), Expect: s.on("b", 0)}},
	} {
		if _, err := s.Log.Append(s.ctx, es...); err == nil || errors.Is(err, events.ErrConflict) {
			s.Errorf("got %v, want a refusal", err)
		}
	}
	s.want()
}

func size(s *suite) {
	e := s.node("a")
	object := func(n int) events.Event {
		// The msgpack map {"a": n bytes}, as bin32.
		data := append([]byte{0x81, 0xa1, 'a', 0xc6, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, n)...)
		e.Body = events.Object{Ref: events.RefOf(e), Data: data}
		return e
	}
	raw, err := events.Encode(object(1 << 16))
	if err != nil {
		s.Fatal(err)
	}
	most := events.MaxSize - (len(raw) - 1<<16)
	s.refuse(events.ErrTooLarge, events.Expect{}, object(most+1))
	s.refuse(events.ErrTooLarge, events.Expect{}, s.node("b"), object(most+1))
	s.append(1, events.Expect{}, object(most))
	e.ID = s.id()
	big := object(most)
	e.ID = s.id()
	s.append(3, s.on("a", 1), big, object(most))
	for e, err := range s.Log.Read(s.ctx, 0) {
		if b, ok := e.Body.(events.Object); err != nil || !ok || len(b.Data) != most+8 {
			s.Fatalf("position %d: %T, %v, want the largest object", e.Seq, e.Body, err)
		}
	}
}

func largestPlan(s *suite) {
	long := string(bytes.Repeat([]byte("x"), 63))
	p := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: long, Name: long}, UID: "11111111-2222-3333-4444-555555555555"}}
	for i := range events.MaxCommands {
		p.Commands = append(p.Commands, events.Command{Do: events.CreatePod,
			Ref:  events.Ref{Kind: events.Pod, Key: events.Key{Namespace: long, Name: fmt.Sprintf("%s-%05d", long, i)}, UID: p.Owner.UID},
			Node: long + "." + long, NodeUID: p.Owner.UID, Revision: "0123456789", Attempt: 1000, Reason: events.NotSelected})
	}
	e := events.Event{ID: s.id(), Type: events.Planned, Source: "controller", Body: p}
	raw, err := events.Encode(e)
	if err != nil {
		s.Fatal(err)
	}
	if len(raw) > events.MaxSize/3 {
		s.Errorf("the largest plan has %d bytes, want at most a third of %d", len(raw), events.MaxSize)
	}
	s.append(1, events.Expect{Subject: s.subjects.Plan(p.Owner.Key)}, e)
	s.want(e)
}

func many(s *suite) {
	const n = 200
	es := make([]events.Event, n)
	for i := range es {
		es[i] = s.node(fmt.Sprintf("n%d", i))
	}
	s.eachOnce(es, func(i int) events.Entry { return events.Entry{Event: es[i]} })
}

// manyFenced has winners and losers among many appends at once: each node has
// one append whose expectation holds and one whose does not.
func manyFenced(s *suite) {
	const n = 100
	var good []events.Event
	var bad sync.WaitGroup
	for i := range n {
		good = append(good, s.node(fmt.Sprintf("n%d", i)))
		loser := s.node(fmt.Sprintf("n%d", i))
		bad.Go(func() {
			if at, err := s.Log.Append(s.ctx, events.Entry{Event: loser, Expect: s.on(fmt.Sprintf("n%d", i), 1<<40)}); !errors.Is(err, events.ErrConflict) {
				s.Errorf("a wrong expectation: %d, %v, want a conflict", at, err)
			}
		})
	}
	s.eachOnce(good, func(i int) events.Entry { return events.Entry{Event: good[i], Expect: s.on(fmt.Sprintf("n%d", i), 0)} })
	bad.Wait()
	if ids, err := s.read(0); err != nil || len(ids) != n {
		s.Errorf("the log has %d events (%v), want %d", len(ids), err, n)
	}
}

// eachOnce appends the entry of each of es in a goroutine of its own, every third
// twice, and fails unless each is stored where its append says, once.
func (s *suite) eachOnce(es []events.Event, entry func(i int) events.Entry) {
	s.Helper()
	at := make([]events.Seq, len(es))
	var wg sync.WaitGroup
	for i := range es {
		wg.Go(func() {
			seq, err := s.Log.Append(s.ctx, entry(i))
			if err != nil {
				s.Errorf("append %d: %v", i, err)
			}
			at[i] = seq
		})
		if i%3 == 0 {
			wg.Go(func() {
				if _, err := s.Log.Append(s.ctx, entry(i)); err != nil {
					s.Errorf("append %d again: %v", i, err)
				}
			})
		}
	}
	wg.Wait()
	ids, err := s.read(0)
	if err != nil {
		s.Fatal(err)
	}
	if len(ids) != len(es) {
		s.Fatalf("the log has %d events, want %d", len(ids), len(es))
	}
	for i, e := range es {
		if at[i] == 0 || ids[at[i]-1] != e.ID {
			s.Errorf("append %d was told position %d, which has another event", i, at[i])
		}
	}
}
