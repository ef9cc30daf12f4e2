package replay

import (
	"context"

	"rollcall/events"
	"rollcall/projector"
)

// Course follows the rollouts of a log as it goes on: of what is new it reads only
// that, or is told of it by Take. It has one user at a time.
type Course struct {
	See func(*projector.State, events.Event) // is shown every event that it passes, and the state after it; nil: nobody looks

	seq   events.Seq       // how far it has got
	state *projector.State // there; nil: it has not begun, or rests
	rollouts
}

// Go follows the log up to the end of a history of it, and returns its rollouts.
// They change when it goes on.
func (c *Course) Go(ctx context.Context, h *History) ([]*Rollout, error) {
	return c.upTo(ctx, h, h.span.Last)
}

func (c *Course) upTo(ctx context.Context, h *History, to events.Seq) (_ []*Rollout, err error) {
	switch {
	case c.sets == nil:
		if c.state, err = h.Begin(ctx); err != nil {
			return nil, err
		}
		c.begin(c.state)
	case c.seq >= to:
		return c.all, nil
	case c.state == nil:
		if c.state, err = h.At(ctx, c.seq); err != nil {
			return nil, err
		}
	}
	if c.See == nil {
		c.state, err = h.over(ctx, c.state, to, &chronicle{rollouts: &c.rollouts}, laterChronicle)
		c.seq = to
	} else {
		err = h.pass(ctx, c.state, to, Visit{After: func(s *projector.State, e events.Event) error {
			c.Take(s, e)
			return nil
		}})
	}
	if err != nil {
		*c = Course{See: c.See} // nobody knows how far it has got
	}
	return c.all, err
}

// Take is told of the next event, as it was folded, and of the state after it, by who
// folds the log anyway.
func (c *Course) Take(s *projector.State, e events.Event) {
	see(s, e, c.take)
	if c.See != nil {
		c.See(s, e)
	}
	c.seq = e.Seq
}

// Rest lets go of the state until more is to be read, and returns how far the course
// has got.
func (c *Course) Rest() events.Seq {
	c.state = nil
	return c.seq
}

// Onwards folds a state of the history on, up to a position. A state that is nil is
// that of the newest keyframe before it. Of what is passed nothing is kept.
func (h *History) Onwards(ctx context.Context, s *projector.State, to events.Seq) (_ *projector.State, err error) {
	if s == nil {
		s, err = h.nearest(ctx, to)
	}
	if err != nil || s.Seq() >= to {
		return s, err
	}
	return fold(ctx, looked{h.log.Log}, nil, s, to, Visit{})
}
