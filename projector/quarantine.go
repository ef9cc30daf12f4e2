package projector

import (
	"slices"

	"rollcall/events"
)

// Quarantined is an event that was not folded.
type Quarantined struct {
	Seq  events.Seq  `json:"seq"`
	Type events.Type `json:"type"`
	Ref  events.Ref  `json:"ref,omitzero"` // what it would be about; zero: nobody can tell
	Code string      `json:"code"`         // E-EVT-...
	Why  string      `json:"why"`
}

// maxQuarantined bounds the events that a state names; it counts all.
const maxQuarantined = 100

// quarantine keeps the last events that were not folded.
type quarantine struct {
	n    int
	last []Quarantined // by position
}

// Quarantined returns how many events were not folded, and the last of them,
// at most maxQuarantined, by position.
func (s *State) Quarantined() (n int, last []Quarantined) {
	return s.quarantine.n, slices.Clone(s.quarantine.last)
}

// reject quarantines an event. It moved the subject that it stands under all
// the same: who writes there next has to know.
func (s *State) reject(e events.Event, b events.Unreadable) {
	q := &s.quarantine
	q.n++
	if len(q.last) == maxQuarantined {
		q.last = slices.Delete(q.last, 0, 1)
	}
	q.last = append(q.last, Quarantined{e.Seq, e.Type, b.Ref, b.Code, b.Why})
	s.fold.Fence(e, b.Ref)
}
