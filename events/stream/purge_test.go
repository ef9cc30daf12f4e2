package stream

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/natsd"
)

// TestPurge archives the beginning of a log on which two instances write: objects
// that were last written before it are written on, by one writer each time, also
// by the instance that did not purge; nobody reads what is not there.
func TestPurge(t *testing.T) {
	for _, name := range []string{"file", "memory"} {
		t.Run(name, func(t *testing.T) {
			s := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
			open := func() *Log {
				l, err := Open(t.Context(), mustConnect(t, s), mustSubjects(t), Options{Create: true, MemoryStorage: name == "memory"})
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			one, other := open(), open()
			id := 0
			write := func(l *Log, name string, last events.Seq) (events.Seq, error) {
				id++
				return l.Append(t.Context(), events.Entry{Event: node(name, id), Expect: events.Expect{Subject: l.subjects.Object(events.Node, events.Key{Name: name}), Last: last}})
			}
			must := func(l *Log, name string, last events.Seq) events.Seq {
				t.Helper()
				seq, err := write(l, name, last)
				if err != nil {
					t.Fatalf("%s after #%d: %v", name, last, err)
				}
				return seq
			}
			refused := func(l *Log, name string, last events.Seq) {
				t.Helper()
				if seq, err := write(l, name, last); !errors.Is(err, events.ErrConflict) {
					t.Errorf("%s after #%d: %d, %v, want a conflict", name, last, seq, err)
				}
			}
			a, b := must(one, "a", 0), must(one, "b", 0)
			c, d := must(one, "c", 0), must(one, "d", 0)
			must(one, "d", d) // the event at which the log will begin
			if err := one.Purge(t.Context(), 5); err != nil {
				t.Fatal(err)
			}
			if i, err := one.Info(t.Context()); err != nil || i.Before != 4 || i.Last != 5 {
				t.Fatalf("%+v, %v", i, err)
			}
			for _, err := range one.Read(t.Context(), 0) {
				if !errors.Is(err, events.ErrGap) {
					t.Errorf("read from the first position: %v", err)
				}
				break
			}
			for e, err := range one.Read(t.Context(), 4) {
				if err != nil || e.Seq != 5 {
					t.Errorf("read from where it begins: %d, %v", e.Seq, err)
				}
				break
			}
			late := events.Entry{Event: node("e", 1000), Expect: events.Expect{Subject: one.subjects.Object(events.Node, events.Key{Name: "e"})}, Seen: 3}
			if seq, err := one.Append(t.Context(), late); !errors.Is(err, events.ErrConflict) {
				t.Errorf("by somebody who has not read up to where it begins: %d, %v", seq, err)
			}
			late.Seen = 4
			if _, err := one.Append(t.Context(), late); err != nil {
				t.Error(err)
			}
			a2 := must(one, "a", a) // the one that has purged
			must(other, "b", b)     // and the one that learns of it by a refusal
			refused(one, "b", b)    // a concurrent writer of what was archived
			refused(other, "a", a)  // and the other way round
			refused(one, "c", c+2)  // nobody knows an event of c there
			refused(other, "d", d)  // it is not the last
			must(other, "c", c)     // a conflict takes nothing
			must(other, "a", a2)    // what is in the log is fenced as ever
			must(open(), "f", 0)    // what never was can be made
			refused(open(), "f", 0) // once
			refused(open(), "c", 0) // c is there again
			if _, ok, err := one.Latest(t.Context(), one.subjects.Object(events.Node, events.Key{Name: "d"})); !ok || err != nil {
				t.Errorf("the last event of d: %v, %v", ok, err)
			}
		})
	}
}

// TestPurgeTogether: fences of what was archived hold in batches, too.
func TestPurgeTogether(t *testing.T) {
	s := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	l, err := Open(t.Context(), mustConnect(t, s), mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	on := func(name string, last events.Seq) events.Expect {
		return events.Expect{Subject: l.subjects.Object(events.Node, events.Key{Name: name}), Last: last}
	}
	for i, name := range []string{"a", "b", "c"} {
		if _, err := l.Append(t.Context(), events.Entry{Event: node(name, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Purge(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	both := []events.Entry{{Event: node("a", 10), Expect: on("a", 1)}, {Event: node("b", 11), Expect: on("b", 2)}}
	if seq, err := l.Append(t.Context(), both...); seq != 5 || err != nil {
		t.Fatalf("two objects that were archived: %d, %v", seq, err)
	}
	if seq, err := l.Append(t.Context(), both...); seq != 5 || err != nil {
		t.Errorf("the same again: %d, %v", seq, err)
	}
	stale := []events.Entry{{Event: node("a", 12), Expect: on("a", 1)}, {Event: node("c", 13), Expect: on("c", 3)}}
	if seq, err := l.Append(t.Context(), stale...); !errors.Is(err, events.ErrConflict) {
		t.Errorf("a batch with one fence that is stale: %d, %v", seq, err)
	}
}

// TestPurgeDenied: a stream of before can be opened, and says that it keeps all.
func TestPurgeDenied(t *testing.T) {
	s := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	nc := mustConnect(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c := config(mustSubjects(t), Options{})
	c.DenyPurge = true
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), nc, mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	var e *events.Error
	if err := l.Purge(t.Context(), 1); !errors.As(err, &e) || e.Code != "E-ARCHIVE-DENIED" {
		t.Errorf("%v, want E-ARCHIVE-DENIED", err)
	}
}
