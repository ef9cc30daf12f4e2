package logtest

import (
	"errors"
	"fmt"

	"rollcall/events"
)

// bind returns an entry that is bound to what it expects of its node.
func (s *suite) bind(e events.Event, last events.Seq) events.Entry {
	return events.Entry{Event: e, Expect: s.on(events.RefOf(e).Key.Name, last), Bound: true}
}

// bound: an event that is bound is found where its fence says, however late, and
// another under its fence is refused.
func bound(s *suite) {
	a, b, c := s.node("a"), s.node("a"), s.node("a")
	s.appendAll(1, s.bind(a, 0))
	s.appendAll(1, s.bind(a, 0))
	s.refuseAll(events.ErrConflict, s.bind(s.node("a"), 0))
	s.appendAll(2, s.bind(b, 1))
	s.append(3, s.on("a", 2), c) // somebody else goes on
	s.appendAll(1, s.bind(a, 0))
	s.appendAll(2, s.bind(b, 1))
	s.refuseAll(events.ErrConflict, s.bind(s.node("a"), 2))
	s.want(a, b, c)
}

// boundUnknown: what was stored though its answer was lost is found, behind a
// tombstone too, and after others have gone on.
func boundUnknown(s *suite) {
	a, g, b, c := s.node("a"), s.gone("a"), s.node("a"), s.node("b")
	s.LoseAck(s.T)
	s.refuseAll(events.ErrUnknown, s.bind(a, 0))
	s.appendAll(1, s.bind(a, 0))
	s.append(2, s.on("a", 1), g)
	s.LoseAck(s.T)
	s.refuseAll(events.ErrUnknown, s.bind(b, 2), s.bind(c, 0))
	later := s.node("a")
	s.append(5, s.on("a", 3), later)
	s.appendAll(4, s.bind(b, 2), s.bind(c, 0))
	s.appendAll(3, s.bind(b, 2))
	s.refuseAll(events.ErrConflict, s.bind(s.node("a"), 2))
	s.want(a, g, b, c, later)
}

// boundMany: each of many at once is stored once, though some are appended twice.
func boundMany(s *suite) {
	es := make([]events.Event, 100)
	for i := range es {
		es[i] = s.node(fmt.Sprintf("n%d", i))
	}
	s.eachOnce(es, func(i int) events.Entry { return s.bind(es[i], 0) })
}

// boundElsewhere: an event can be bound to its own subject only.
func boundElsewhere(s *suite) {
	for _, x := range []events.Expect{{}, s.on("b", 0)} {
		if _, err := s.Log.Append(s.ctx, events.Entry{Event: s.node("a"), Expect: x, Bound: true}); err == nil || errors.Is(err, events.ErrConflict) {
			s.Errorf("bound to %+v: %v, want a refusal", x, err)
		}
	}
	s.want()
}
