package projector

import (
	"slices"
	"strings"

	"rollcall/events"
)

// Quarantined is an event that was not folded.
type Quarantined struct {
	Seq  events.Seq
	Type events.Type
	Ref  events.Ref // what it would be about; zero: nobody can tell
	Code string     // E-EVT-...
	Why  string
}

// MaxQuarantined bounds the events that a state names; it counts all.
const MaxQuarantined = 100

// quarantine keeps the last events that were not folded.
type quarantine struct {
	n    int
	last []Quarantined // by position
}

// Quarantined returns how many events were not folded, and the last of them,
// at most MaxQuarantined, by position.
func (s *State) Quarantined() (n int, last []Quarantined) {
	return s.quarantine.n, slices.Clone(s.quarantine.last)
}

// reject quarantines an event. It moved the subject that it stands under all
// the same: who writes there next has to know.
func (s *State) reject(e events.Event, b events.Unreadable) {
	q := &s.quarantine
	q.n++
	if len(q.last) == MaxQuarantined {
		q.last = slices.Delete(q.last, 0, 1)
	}
	q.last = append(q.last, Quarantined{e.Seq, e.Type, b.Ref, b.Code, b.Why})
	s.fence(e, b.Ref)
}

// fence notes that the last event of a subject is one that was not folded.
func (s *State) fence(e events.Event, ref events.Ref) {
	of, key := events.Under(e.Subject)
	switch {
	case of == "plan":
		if key.Namespace == "" {
			key = events.Key{}
		}
		s.fencePlan(key)
	case of == strings.ToLower(string(events.DaemonSet)):
		s.fenceDaemonSet(key)
	case of == strings.ToLower(string(events.ControllerRevision)):
		s.fenceRevision(key)
	case e.Subject != "":
	case e.Type == events.CollectionPlanned:
		s.fencePlan(events.Key{})
	case e.Type == events.Planned:
		s.fencePlan(ref.Key)
	}
}

// fencePlan notes the fence of the plans of one owner; the zero Key is that of
// the garbage collector.
func (s *State) fencePlan(owner events.Key) {
	s.plans[owner] = s.position.Seq
	if owner != (events.Key{}) {
		s.touch(owner)
	}
}

func (s *State) fenceDaemonSet(key events.Key) {
	if d := s.sets[key]; d != nil {
		d.Seq = s.position.Seq
		s.mark(d)
	}
}

func (s *State) fenceRevision(key events.Key) {
	if r := s.revisions[key]; r != nil {
		r.Seq = s.position.Seq
		s.reviseOwner(r)
		return
	}
	s.revGone[key] = s.position.Seq
	for _, d := range s.order {
		if d.Key.Namespace == key.Namespace {
			s.mark(d)
		}
	}
}
