package replay

import (
	"context"

	"rollcall/events"
	"rollcall/projector"
)

// Course follows the rollouts of a log as it goes on: of what is new it reads only
// that. It has one user at a time.
type Course struct {
	See func(*projector.State, events.Event) // is shown every event that it passes, and the state after it; nil: nobody looks

	state *projector.State // nil: it has not begun
	rollouts
}

// Go follows the log up to the end of a history of it, and returns its rollouts.
// They change when it goes on.
func (c *Course) Go(ctx context.Context, h *History) ([]*Rollout, error) {
	return c.upTo(ctx, h, h.span.Last)
}

func (c *Course) upTo(ctx context.Context, h *History, to events.Seq) (_ []*Rollout, err error) {
	if c.state == nil {
		if c.state, err = h.Begin(ctx); err != nil {
			return nil, err
		}
		c.begin(c.state)
	}
	f := &chronicle{rollouts: &c.rollouts}
	if c.See == nil {
		c.state, err = h.over(ctx, c.state, to, f, laterChronicle)
	} else {
		follow := f.visit().After
		err = h.pass(ctx, c.state, to, Visit{After: func(s *projector.State, e events.Event) error {
			err := follow(s, e)
			c.See(s, e)
			return err
		}})
	}
	if err != nil {
		*c = Course{See: c.See} // nobody knows how far it has got
	}
	return c.all, err
}

// Onwards folds a state of the history on, up to a position. A state that is nil is
// that of the newest keyframe before it.
func (h *History) Onwards(ctx context.Context, s *projector.State, to events.Seq) (*projector.State, error) {
	return h.forward(ctx, s, to, Visit{})
}
