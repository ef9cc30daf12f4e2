// Package projector folds a log into the state that the controller decides
// from: objects, and for each DaemonSet a cell a node with counters and
// ordered sets of work, kept up to date event by event.
//
// A State has one owner. Fold is a function of the state and the event: no
// clock, no goroutine, no map order in anything it gives out. The shell,
// Projector, lets others read a state between folds, never during one.
package projector

import (
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/projector/sets"
	"rollcall/projector/table"
)

// advance takes one more event with these bytes into the position.
func (s *State) advance(seq events.Seq, raw []byte) {
	if s.unchained {
		s.chain.Seq = seq
		return
	}
	s.chain.Take(seq, raw)
}

// Unchain ends the chain of a state: from here on its positions have none, and no
// keyframe is made of it. It is for who passes over a log and keeps nothing of it.
func (s *State) Unchain() { s.unchained = true }

// Copy returns a state of its own that is the same. Both have the bytes of their objects
// in common, which nobody changes.
func (s *State) Copy() (*State, error) {
	k := s.Keep().keyframe
	c := New(s.chain.Log)
	if err := c.restore(&k); err != nil {
		return nil, fmt.Errorf("copy the state at position %d: %w", k.Seq, err)
	}
	return c, nil
}

// State is the fold of a log. The objects themselves are in tables, which
// others may read beside it.
type State struct {
	chain     *chain.Chain
	unchained bool      // the chain is not that of the position
	last      ulid.ULID // of the event at the position
	clock     clock
	screen    *events.Screen
	objects   *table.Tables

	*sets.Sets
	fold sets.Fold

	quarantine quarantine
}

// New returns the state before the first event of the log with this ID, whose
// objects nobody else reads.
func New(log string) *State { return NewOver(log, table.New(table.History{})) }

// NewOver returns the state before the first event of the log with this ID. It
// keeps the objects in tables, which are empty and which it alone fills.
func NewOver(log string, objects *table.Tables) *State {
	s := &State{chain: chain.New(log), screen: events.NewScreen(), objects: objects,
		clock: clock{sources: map[string]time.Duration{}}}
	s.Sets, s.fold = sets.New(objects)
	return s
}

// Position returns how far the state has read.
func (s *State) Position() chain.Position { return s.chain.Position }

// Seq returns the position of the last event folded.
func (s *State) Seq() events.Seq { return s.chain.Seq }

// Time returns log time, which never steps back: that of the last event folded.
func (s *State) Time() time.Time { return s.clock.now }

// Told returns where the told event of an id is: it was told before.
func (s *State) Told(id ulid.ULID) (events.Seq, bool) { return s.screen.Told(id) }

// ToldLast returns the latest time that a source has told of a subject, as the
// Screen remembers it.
func (s *State) ToldLast(source, subject string) time.Time { return s.screen.ToldLast(source, subject) }

// Charter returns what the log is about, which is not to be changed; nil: the
// cluster is nothing but its log.
func (s *State) Charter() *events.Charter { return s.screen.Charter() }

// Check compares all that is kept up to date event by event with what it is made
// of, and returns the differences.
func (s *State) Check() error { return errors.Join(s.Sets.Check(), s.screen.Check()) }

// Screen returns a copy of what says which of the next events are believed.
func (s *State) Screen() (*events.Screen, error) {
	k := s.screen.Keep()
	return k.Screen()
}

// Object returns an object as of the state and the position of its last fact.
func (s *State) Object(kind events.Kind, k events.Key) (o events.Object, last events.Seq, ok bool) {
	i := s.objects.Get(kind, k)
	if i == nil {
		return events.Object{}, 0, false
	}
	return i.Object, events.Seq(i.Rev), true
}

// Objects returns the tables that the objects of the state are in.
func (s *State) Objects() *table.Tables { return s.objects }

// Kinds returns the kinds that the log has told of, in order.
func (s *State) Kinds() []events.Kind { return s.objects.Kinds() }

// List returns the objects of a kind by key, of one namespace or of all ("").
func (s *State) List(kind events.Kind, namespace string) []events.Object {
	var os []events.Object
	rows, _ := s.objects.Of(kind).Snapshot()
	rows.Scan(func(i *table.Item) bool {
		if namespace == "" || i.Key.Namespace == namespace {
			os = append(os, i.Object)
		}
		return true
	})
	return os
}
