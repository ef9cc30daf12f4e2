package replay

import (
	"context"
	"errors"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
)

// Steps tells of the events after a position that pass a filter, as what they
// change, until there are so many or the end is reached. Its last result is how far
// it has looked.
func (h *History) Steps(ctx context.Context, f story.Filter, after, to events.Seq, limit int) ([]Step, events.Seq, error) {
	all, looked := []Step{}, after
	var x passed
	err := h.Walk(ctx, after, to, Visit{
		Before: func(s *projector.State, e events.Event) error {
			x.before(s, e)
			return nil
		},
		After: func(_ *projector.State, e events.Event) error {
			looked, x.Event = e.Seq, e
			if !x.passes(f) {
				return nil
			}
			x.told = nil
			all = append(all, x.tell())
			if len(all) == limit {
				return errFound
			}
			return nil
		},
	})
	if err != nil && !errors.Is(err, errFound) {
		return nil, 0, err
	}
	return all, looked, nil
}

// passed is an event as it was folded, and the fact before about its object.
type passed struct {
	events.Event
	was  events.Event
	told *Step // nil: it was not told of yet
}

func (x *passed) tell() Step {
	if x.told == nil {
		s := stepOf(eventLink(x.Seq), x.Event, x.was)
		x.told = &s
	}
	return *x.told
}

func (x *passed) before(s *projector.State, e events.Event) {
	r := events.RefOf(e)
	o, last, _ := s.Object(r.Kind, r.Key)
	x.was = events.Event{Seq: last, Type: events.ObjectType(r.Kind, events.VerbUpdated), Body: o}
}

func (x *passed) passes(f story.Filter) bool {
	if !f.Wants(x.Event) || f.DaemonSet == (events.Key{}) {
		return f.Wants(x.Event)
	}
	t := story.New()
	t.Observe(x.was)
	return f.Match(x.Event, t.Tell(x.Event)[0])
}

// MaxRecent is how many of the last events a Recent has at least, of those that it
// was told of.
const MaxRecent = 1024

// Recent has the last events of a log, of which it tells as Steps does: for who folds
// the log anyway, so that none of them is folded again for it. It is told of every
// event, before and after that is folded, and has one user at a time.
type Recent struct {
	all  []passed // without a gap
	next passed
}

// Before is told of an event, and of the state before it.
func (x *Recent) Before(s *projector.State, e events.Event) { x.next.before(s, e) }

// After is told of it as it was folded.
func (x *Recent) After(e events.Event) {
	if n := len(x.all); n >= 2*MaxRecent {
		copy(x.all, x.all[n-MaxRecent:])
		clear(x.all[MaxRecent:])
		x.all = x.all[:MaxRecent]
	}
	x.next.Event = e
	x.all = append(x.all, x.next)
}

// Join adds the events before its own of another, which nobody uses any more. Its own
// go up to a position.
func (x *Recent) Join(before *Recent, at events.Seq) {
	first := at + 1 - events.Seq(len(x.all))
	b := before.all
	if len(b) == 0 || len(x.all) >= MaxRecent || b[0].Seq >= first || b[len(b)-1].Seq+1 < first {
		return
	}
	x.all = append(b[:first-b[0].Seq], x.all...)
}

// Steps is Steps of a history. It reports false where it has not all that is asked
// about.
func (x *Recent) Steps(f story.Filter, after, to events.Seq, limit int) (all []Step, looked events.Seq, ok bool) {
	if len(x.all) == 0 || after >= to || after+1 < x.all[0].Seq || to > x.all[len(x.all)-1].Seq {
		return nil, 0, false
	}
	all, looked = []Step{}, after
	first := x.all[0].Seq
	asked := x.all[after+1-first : to+1-first]
	for i := range asked {
		p := &asked[i]
		if looked = p.Seq; !p.passes(f) {
			continue
		}
		if all = append(all, p.tell()); len(all) == limit {
			break
		}
	}
	return all, looked, true
}
