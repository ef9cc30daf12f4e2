package stream

import (
	"errors"
	"testing"

	"rollcall/events"
	"rollcall/events/natsd"
)

// TestRest starts the server of a log that was left at rest again. Nothing was appended
// to it meanwhile, only who has the server in its own process opens it, and the server
// knows the ids of what is appended from then on.
func TestRest(t *testing.T) {
	dir := t.TempDir()
	start := func() *natsd.Server { return mustServer(t, natsd.Options{Dir: dir, Durability: natsd.Relaxed}) }
	open := func(s *natsd.Server, o Options) (*Log, error) {
		return Open(t.Context(), mustConnect(t, s), mustSubjects(t), o)
	}
	s := start()
	l, err := open(s, Options{Create: true, Own: true})
	if err != nil {
		t.Fatal(err)
	}
	first := events.Entry{Event: node("a", 1)}
	if _, err := l.Append(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := l.Rest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), first); !errors.Is(err, errResting) {
		t.Errorf("an append to a log that rests: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start()
	_, err = open(s, Options{Create: true})
	wantCode(t, err, "E-STREAM-CONFIG")
	if l, err = open(s, Options{Own: true}); err != nil {
		t.Fatal(err)
	}
	if i, err := l.Info(t.Context()); err != nil || i.Last != 1 {
		t.Errorf("the log ends at %d, %v, and had one event", i.Last, err)
	}
	for range 2 {
		if seq, err := l.Append(t.Context(), events.Entry{Event: node("b", 2)}); err != nil || seq != 2 {
			t.Errorf("an event that is sent twice: %d, %v, want 2", seq, err)
		}
	}
	if info, err := l.look(t.Context()); err != nil || info.Config.Duplicates != duplicates {
		t.Errorf("the server knows ids for %s, %v", info.Config.Duplicates, err)
	}
}
