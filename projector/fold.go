package projector

import (
	"fmt"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/sets"
	"rollcall/projector/table"
)

// Fold takes one event into s. Events are folded in the order of their log,
// each once. It is total: what cannot be decoded, or is not believed, is
// quarantined with its position. Fold returns the event as it was folded: with
// an Unreadable body if it is quarantined, so that others who follow the log
// pass over the same.
func Fold(s *State, e events.Event) events.Event {
	s.advance(e.Seq, e.Raw)
	s.last = e.ID
	e = s.screen.Take(e)
	if _, bad := e.Body.(events.Unreadable); !bad {
		s.clock.tick(&e)
	}
	s.fold.Begin(e.Seq, s.clock.now)
	if err := s.foldBody(e); err != nil {
		e.Body = refused(e, err)
	}
	if b, ok := e.Body.(events.Unreadable); ok {
		s.reject(e, b)
	}
	if !e.Cause.IsZero() {
		s.fold.Settle(e)
	}
	s.fold.End()
	s.objects.Advance(e)
	e.Looked = nil
	return e
}

// Doubt says why an event would be quarantined whatever else is in the log; the code is
// empty if nothing speaks against it. Who is about to append asks it: the fold believes
// and reads by the same rules.
func Doubt(e events.Event) (code, why string) {
	if code, why = events.Doubt(&e); code != "" {
		return code, why
	}
	if o, ok := e.Body.(events.Object); ok {
		if err := sets.Readable(o, new(wire.Words)); err != nil {
			b := refused(e, err)
			return b.Code, b.Why
		}
	}
	return "", ""
}

// Skim takes the events of a log on from a state as Fold would, without the state.
type Skim struct{ s *State }

// NewSkim returns what goes on from s, which nobody may use any more.
func NewSkim(s *State) Skim { return Skim{s} }

// Take takes the next event and returns it as Fold would.
func (k Skim) Take(e events.Event) events.Event {
	e = k.s.screen.Take(e)
	if o, ok := e.Body.(events.Object); ok {
		if err := k.s.fold.Readable(o); err != nil {
			e.Body = refused(e, err)
		}
	}
	return e
}

// refused is the body of an event whose own cannot be folded.
func refused(e events.Event, err error) events.Unreadable {
	return events.Unreadable{Code: "E-EVT-OBJECT", Why: err.Error(), Ref: events.RefOf(e)}
}

func (s *State) foldBody(e events.Event) error {
	switch b := e.Body.(type) {
	case events.Object:
		return s.foldObject(e, b)
	case events.Gone:
		s.fold.Gone(b.Ref)
		s.objects.Of(b.Kind).Delete(uint64(e.Seq), b.Key)
	case *events.Plan:
		s.fold.Plan(b)
	case events.Outcome:
		s.fold.Outcome(e)
	case events.Hold:
		return s.fold.Hold(b)
	case events.Lifted:
		s.fold.Lift(b)
	case events.Charter:
		s.fold.Charter(&b)
	case events.Note:
		s.fold.Note(e.Told, b)
	case events.Unreadable, events.Unchanged:
	default:
		return fmt.Errorf("body %T", e.Body)
	}
	return nil
}

func (s *State) foldObject(e events.Event, o events.Object) error {
	i := &table.Item{Object: o, Rev: uint64(e.Seq)}
	if err := s.fold.Object(e, i); err != nil {
		return err
	}
	s.objects.Of(o.Kind).Put(i)
	return nil
}
