package memlog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/memlog"
)

func node(name string, id byte) events.Event {
	return events.Event{ID: ulid.ULID{15: id}, Type: events.ObjectType(events.Node, events.VerbUpdated), Source: "test",
		Body: events.Object{Ref: events.Ref{Kind: events.Node, Key: events.Key{Name: name}}, Data: []byte{0x80}}}
}

func newLog(t *testing.T) *memlog.Log {
	t.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	return memlog.New(s, time.Now)
}

func TestInjectedFaults(t *testing.T) {
	for _, tc := range []struct {
		fault  memlog.Fault
		err    error
		stored events.Seq
	}{
		{memlog.LoseAck, events.ErrUnknown, 1},
		{memlog.LoseAppend, events.ErrUnknown, 0},
		{memlog.Refuse, memlog.ErrRefused, 0},
	} {
		l := newLog(t)
		l.Inject(func([]events.Entry) memlog.Fault { return tc.fault })
		if _, err := l.Append(t.Context(), events.Entry{Event: node("a", 1)}); !errors.Is(err, tc.err) {
			t.Errorf("fault %d: error %v, want %v", tc.fault, err, tc.err)
		}
		if in, err := l.Info(t.Context()); err != nil || in.Last != tc.stored {
			t.Errorf("fault %d: log ends at %d (%v), want %d", tc.fault, in.Last, err, tc.stored)
		}
		l.Inject(nil)
		if at, err := l.Append(t.Context(), events.Entry{Event: node("a", 1)}); err != nil || at != 1 {
			t.Errorf("fault %d: again: %d, %v, want position 1", tc.fault, at, err)
		}
	}
}

// A tail must work where time is not real, as in a simulation: it blocks on the
// log alone.
func TestTailInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t)
		ctx, cancel := context.WithCancel(t.Context())
		var got []events.Seq
		var end error
		go func() {
			for e, err := range l.Tail(ctx, 0) {
				if err != nil {
					end = err
					return
				}
				got = append(got, e.Seq)
			}
		}()
		synctest.Wait()
		for i := range 3 {
			if _, err := l.Append(ctx, events.Entry{Event: node("a", byte(i+1))}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(got) != i+1 {
				t.Fatalf("after %d appends the tail yielded %v", i+1, got)
			}
		}
		cancel()
		synctest.Wait()
		if !errors.Is(end, context.Canceled) {
			t.Fatalf("the tail ended with %v, want the context's error", end)
		}
	})
}

// A log that forgets its end and uses the positions again is a rewritten log.
func TestTruncateUsesPositionsAgain(t *testing.T) {
	l := newLog(t)
	for i := range 3 {
		if _, err := l.Append(t.Context(), events.Entry{Event: node("a", byte(i+1))}); err != nil {
			t.Fatal(err)
		}
	}
	l.Truncate(1)
	at, err := l.Append(t.Context(), events.Entry{Event: node("a", 3), Expect: events.Expect{Subject: "rollcall.test.node._.a", Last: 1}})
	if err != nil || at != 2 {
		t.Fatalf("append after truncation: %d, %v, want position 2", at, err)
	}
}
