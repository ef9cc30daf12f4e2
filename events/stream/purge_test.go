package stream

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/natsd"
)

// writers write one log, each through a connection of its own.
type writers struct {
	*testing.T
	open func() *Log
	id   int
}

func (w *writers) write(l *Log, name string, last events.Seq) (events.Seq, error) {
	w.id++
	return l.Append(w.Context(), events.Entry{Event: node(name, w.id), Expect: events.Expect{Subject: l.subjects.Object(events.Node, events.Key{Name: name}), Last: last}})
}

func (w *writers) must(l *Log, name string, last events.Seq) events.Seq {
	w.Helper()
	seq, err := w.write(l, name, last)
	if err != nil {
		w.Fatalf("%s after #%d: %v", name, last, err)
	}
	return seq
}

func (w *writers) refused(l *Log, name string, last events.Seq) {
	w.Helper()
	if seq, err := w.write(l, name, last); !errors.Is(err, events.ErrConflict) {
		w.Errorf("%s after #%d: %d, %v, want a conflict", name, last, seq, err)
	}
}

// TestPurge archives the beginning of a log on which two instances write: objects
// that were last written before it are written on, by one writer each time, also
// by the instance that did not purge; nobody reads what is not there.
func TestPurge(t *testing.T) {
	for _, name := range []string{"file", "memory"} {
		t.Run(name, func(t *testing.T) {
			s := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
			purge(&writers{T: t, open: func() *Log {
				l, err := Open(t.Context(), mustConnect(t, s), mustSubjects(t), Options{Create: true, MemoryStorage: name == "memory"})
				if err != nil {
					t.Fatal(err)
				}
				return l
			}})
		})
	}
}

func purge(w *writers) {
	one, other := w.open(), w.open()
	a, b := w.must(one, "a", 0), w.must(one, "b", 0)
	c, d := w.must(one, "c", 0), w.must(one, "d", 0)
	w.must(one, "d", d) // the event at which the log will begin
	if err := one.Purge(w.Context(), 5); err != nil {
		w.Fatal(err)
	}
	if i, err := one.Info(w.Context()); err != nil || i.Before != 4 || i.Last != 5 {
		w.Fatalf("%+v, %v", i, err)
	}
	for _, err := range one.Read(w.Context(), 0) {
		if !errors.Is(err, events.ErrGap) {
			w.Errorf("read from the first position: %v", err)
		}
		break
	}
	for e, err := range one.Read(w.Context(), 4) {
		if err != nil || e.Seq != 5 {
			w.Errorf("read from where it begins: %d, %v", e.Seq, err)
		}
		break
	}
	late := events.Entry{Event: node("e", 1000), Expect: events.Expect{Subject: one.subjects.Object(events.Node, events.Key{Name: "e"})}, Seen: 3}
	if seq, err := one.Append(w.Context(), late); !errors.Is(err, events.ErrConflict) {
		w.Errorf("by somebody who has not read up to where it begins: %d, %v", seq, err)
	}
	late.Seen = 4
	if _, err := one.Append(w.Context(), late); err != nil {
		w.Error(err)
	}
	a2 := w.must(one, "a", a)   // the one that has purged
	w.must(other, "b", b)       // and the one that learns of it by a refusal
	w.refused(one, "b", b)      // a concurrent writer of what was archived
	w.refused(other, "a", a)    // and the other way round
	w.refused(one, "c", c+2)    // nobody knows an event of c there
	w.refused(other, "d", d)    // it is not the last
	w.must(other, "c", c)       // a conflict takes nothing
	w.must(other, "a", a2)      // what is in the log is fenced as ever
	w.must(w.open(), "f", 0)    // what never was can be made
	w.refused(w.open(), "f", 0) // once
	w.refused(w.open(), "c", 0) // c is there again
	if _, ok, err := one.Latest(w.Context(), one.subjects.Object(events.Node, events.Key{Name: "d"})); !ok || err != nil {
		w.Errorf("the last event of d: %v, %v", ok, err)
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

// TestPurgeUnanswered: a purge that nobody has answered is not taken for one that was
// refused while it may still come about, and for one when the log stays as it is.
func TestPurgeUnanswered(t *testing.T) {
	s := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	open := func() *Log {
		l, err := Open(t.Context(), mustConnect(t, s), mustSubjects(t), Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l, other := open(), open()
	for i, name := range []string{"a", "b", "c"} {
		if _, err := l.Append(t.Context(), events.Entry{Event: node(name, i)}); err != nil {
			t.Fatal(err)
		}
	}
	was := purgeWait
	defer func() { purgeWait = was }()
	purgeWait = 0
	var e *events.Error
	if err := l.purged(t.Context(), 3); !errors.As(err, &e) || e.Code != "E-ARCHIVE-DENIED" || !strings.Contains(e.Why, "it begins at 1 still") {
		t.Errorf("nobody has purged: %v, want E-ARCHIVE-DENIED", err)
	}
	purgeWait = patience
	before, done := requests(t, l), make(chan error)
	go func() { done <- l.purged(t.Context(), 3) }()
	for n := 1; requests(t, l)-before-n < 3; n++ { // those of this loop left out: it has looked more than once
	}
	if err := other.Purge(t.Context(), 3); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the log begins at 3 now: %v", err)
	}
}

// requests returns how many the server has answered before this one.
func requests(t *testing.T, l *Log) int {
	t.Helper()
	i, err := l.js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(i.API.Total)
}
