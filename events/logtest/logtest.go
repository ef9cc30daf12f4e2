// Package logtest is the one suite that every events.Log passes: order, fence,
// duplicate, unknown outcome, resume, tail, gap, truncation.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/waittest"
)

// Harness is an empty log of the cluster "test" and what the suite does to it.
type Harness struct {
	Log events.Log
	// Other opens the same log once more, as another process would.
	Other func(t *testing.T) events.Log
	// LoseAck makes the next append of Log end with ErrUnknown though it stores.
	LoseAck func(t *testing.T)
	// AppendRaw stores bytes that need not be an event.
	AppendRaw func(t *testing.T, subject string, raw []byte)
	// Remove loses the event at a position.
	Remove func(t *testing.T, seq events.Seq)
	// Recreate replaces the log by an empty one of the same name.
	Recreate func(t *testing.T)
}

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// Run runs the suite, each test on a log of its own.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, tc := range []struct {
		name string
		test func(*suite)
	}{
		{"Order", order},
		{"Fields", fields},
		{"NothingToAppend", nothingToAppend},
		{"Fence", fence},
		{"FenceOfAnotherSubject", fenceOfAnotherSubject},
		{"RaceUnderOneFence", race},
		{"TombstoneThenCreate", tombstone},
		{"Duplicate", duplicate},
		{"DuplicateWithStaleExpectation", duplicateStale},
		{"DuplicateInOneAppend", duplicateInOneAppend},
		{"UnknownOutcome", unknown},
		{"UnknownOutcomeUnderAFence", unknownFenced},
		{"UnknownOutcomeOfSeveral", unknownSeveral},
		{"SeveralAreAllOrNone", several},
		{"SeveralPartlyStored", partlyStored},
		{"SeveralFences", severalFences},
		{"SeveralFencesUnknown", severalFencesUnknown},
		{"FencesThatContradict", contradiction},
		{"BoundToAFence", bound},
		{"BoundUnknown", boundUnknown},
		{"BoundManyAtOnce", boundMany},
		{"BoundToAnotherSubject", boundElsewhere},
		{"Resume", resume},
		{"ReadEndsWhereItBegan", readEnds},
		{"StopReading", stopReading},
		{"Tail", tail},
		{"TailOfTwo", tailOfTwo},
		{"Cancel", cancelled},
		{"Unreadable", unreadable},
		{"Gap", gap},
		{"GapAtTheEnd", gapAtTheEnd},
		{"Truncated", truncated},
		{"AnotherLogOfTheName", another},
		{"TailOfAnotherLogOfTheName", tailAnother},
		{"Latest", latest},
		{"Size", size},
		{"LargestPlan", largestPlan},
		{"ManyAtOnce", many},
		{"ManyUnderFences", manyFenced},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			s, err := events.NewSubjects("test")
			if err != nil {
				t.Fatal(err)
			}
			tc.test(&suite{T: t, Harness: open(t), ctx: ctx, subjects: s})
		})
	}
}

// suite is one test: its log and what it appended.
type suite struct {
	*testing.T
	Harness
	ctx      context.Context
	subjects events.Subjects
	ids      uint64
}

// id returns a new id.
func (s *suite) id() ulid.ULID {
	s.ids++
	var id ulid.ULID
	if err := id.SetTime(ulid.Timestamp(time.Now())); err != nil {
		s.Fatal(err)
	}
	for i := range 8 {
		id[15-i] = byte(s.ids >> (8 * i))
	}
	return id
}

// node returns a new fact about a node.
func (s *suite) node(name string) events.Event {
	return events.Event{ID: s.id(), Type: events.ObjectType(events.Node, events.VerbUpdated), Source: "logtest",
		At: time.Unix(1700000000, 42).UTC(), Body: events.Object{
			Ref: events.Ref{Kind: events.Node, Key: events.Key{Name: name}, UID: "uid-1"}, Data: []byte{0x81, 0xa1, 'a', 0x01}}}
}

// gone returns a new fact that a node is gone.
func (s *suite) gone(name string) events.Event {
	e := s.node(name)
	e.Type = events.ObjectType(events.Node, events.VerbDeleted)
	e.Body = events.Gone{Ref: events.Ref{Kind: events.Node, Key: events.Key{Name: name}, UID: "uid-1"}}
	return e
}

// on is the expectation that the last event of a node is at a position.
func (s *suite) on(name string, last events.Seq) events.Expect {
	return events.Expect{Subject: s.subjects.Object(events.Node, events.Key{Name: name}), Last: last}
}

// append appends and must succeed at a position.
func (s *suite) append(want events.Seq, x events.Expect, es ...events.Event) {
	s.Helper()
	s.appendAll(want, entries(x, es)...)
}

// refuse appends and must get an error.
func (s *suite) refuse(want error, x events.Expect, es ...events.Event) {
	s.Helper()
	s.refuseAll(want, entries(x, es)...)
}

// entries has the expectation on the first event.
func entries(x events.Expect, es []events.Event) []events.Entry {
	out := make([]events.Entry, len(es))
	for i, e := range es {
		out[i].Event = e
	}
	out[0].Expect = x
	return out
}

// appendAll appends and must succeed at a position.
func (s *suite) appendAll(want events.Seq, es ...events.Entry) {
	s.Helper()
	if got, err := s.Log.Append(s.ctx, es...); err != nil || got != want {
		s.Fatalf("Append of %d events, the first under %v = %d, %v, want position %d", len(es), es[0].Expect, got, err, want)
	}
}

// refuseAll appends and must get an error.
func (s *suite) refuseAll(want error, es ...events.Entry) {
	s.Helper()
	if got, err := s.Log.Append(s.ctx, es...); !errors.Is(err, want) {
		s.Fatalf("Append of %d events, the first under %v = %d, %v, want error %v", len(es), es[0].Expect, got, err, want)
	}
}

// fill appends n facts about nodes n1, n2, ...
func (s *suite) fill(n int) (es []events.Event) {
	s.Helper()
	for i := range n {
		e := s.node(fmt.Sprintf("n%d", i+1))
		s.append(events.Seq(i+1), events.Expect{}, e)
		es = append(es, e)
	}
	return es
}

// read returns the ids after a position, which must follow it without a gap,
// and the error that ended it.
func (s *suite) read(after events.Seq) (ids []ulid.ULID, err error) {
	s.Helper()
	for e, err := range s.Log.Read(s.ctx, after) {
		if err != nil {
			return ids, err
		}
		if after++; e.Seq != after {
			s.Fatalf("read position %d, want %d", e.Seq, after)
		}
		ids = append(ids, e.ID)
	}
	return ids, nil
}

// want fails unless the log holds these events and no others.
func (s *suite) want(es ...events.Event) {
	s.Helper()
	got, err := s.read(0)
	if err != nil {
		s.Fatalf("read: %v", err)
	}
	if len(got) != len(es) {
		s.Fatalf("the log has %d events, want %d", len(got), len(es))
	}
	for i, e := range es {
		if got[i] != e.ID {
			s.Fatalf("position %d has event %s, want %s", i+1, got[i], e.ID)
		}
	}
}

// wantCode fails unless err is of a class and has a code.
func (s *suite) wantCode(err, class error, code string) {
	s.Helper()
	var e *events.Error
	if !errors.Is(err, class) || !errors.As(err, &e) || e.Code != code || e.Exit != events.ExitHalt {
		s.Fatalf("error %v, want %s of class %q", err, code, class)
	}
}
