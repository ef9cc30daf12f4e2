package events

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// TestToldTimes: of at least maxTimes subjects the latest time is known, of no more
// than twice as many, and so it is after they were kept.
func TestToldTimes(t *testing.T) {
	begin := time.Date(2026, 11, 21, 10, 43, 0, 5, time.UTC)
	event := func(i int, at time.Time) *Event {
		return &Event{At: begin.Add(time.Hour), Told: &Told{Source: "a", Subject: fmt.Sprint(i), Time: at}}
	}
	var ts toldTimes
	ts.add(event(-1, time.Time{})) // none was given
	for i := range 3 * maxTimes {
		ts.add(event(i, begin.Add(time.Duration(i)*time.Millisecond)))
		if i%2 == 0 {
			ts.add(event(i, begin.Add(-time.Minute))) // an older one is not the latest
		}
		ts.add(event(0, begin.Add(48*time.Hour))) // yet to come: as of when it was taken
	}
	kept := KeptScreen{Times: keepTimes(ts.young), TimesOld: keepTimes(ts.old)}
	s, err := kept.Screen()
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []*toldTimes{&ts, &s.times} {
		n := 0
		for i := range 3 * maxTimes {
			at := of.get("a", fmt.Sprint(i))
			if want := begin.Add(time.Duration(i) * time.Millisecond); i > 0 && !at.IsZero() && !at.Equal(want) {
				t.Fatalf("%d: %s, want %s", i, at, want)
			}
			if at.IsZero() {
				n++
			}
		}
		if known := 3*maxTimes - n; known < maxTimes || known > 2*maxTimes || of.get("a", fmt.Sprint(3*maxTimes-1)).IsZero() {
			t.Errorf("%d are known", known)
		}
		if at := of.get("a", "0"); !at.Equal(begin.Add(time.Hour)) || !of.get("b", "0").IsZero() {
			t.Errorf("%s", at)
		}
	}
	if k := s.Keep(); !bytes.Equal(k.Times, kept.Times) || !bytes.Equal(k.TimesOld, kept.TimesOld) {
		t.Error("kept again it is something else")
	}
	for _, bad := range [][]byte{make([]byte, 27), make([]byte, 28*(maxTimes+1))} {
		if _, err := (&KeptScreen{Times: bad}).Screen(); err == nil {
			t.Errorf("%d bytes are times", len(bad))
		}
	}
}
