package replay

import (
	"context"

	"rollcall/controller/invariant"
	"rollcall/events"
	"rollcall/projector"
)

// Checked says which invariants a log has broken between two positions.
type Checked struct {
	From   events.Seq `json:"from"`
	To     events.Seq `json:"to"`
	Events int        `json:"events"`
	Raced  int        `json:"plansNotJudged,omitempty"` // something came between them and what they were decided from
	Broken []Broken   `json:"violations"`
}

// Broken is an invariant that an event has broken.
type Broken struct {
	Invariant string `json:"invariant"`
	What      string `json:"what"`
	Event     Step   `json:"event"`

	seq events.Seq // of Event
}

// Check holds the events from from to to against invariants. What they say
// depends on all events before, which are folded and not judged.
func (h *History) Check(ctx context.Context, is []invariant.Invariant, from, to events.Seq) (*Checked, error) {
	x, w := &Checked{From: from, To: to, Broken: []Broken{}}, invariant.NewWatch(is)
	err := h.Walk(ctx, 0, to, Visit{
		Before: func(s *projector.State, e events.Event) error {
			w.Before(s, e)
			return nil
		},
		After: func(s *projector.State, e events.Event) error {
			found := w.After(s, e)
			if e.Seq < from {
				w.Raced = 0
				return nil
			}
			x.Events++
			for _, v := range found {
				x.Broken = append(x.Broken, Broken{Invariant: v.Invariant, What: v.What, seq: v.Seq})
			}
			return nil
		},
	})
	if x.Raced = w.Raced; err != nil || len(x.Broken) == 0 {
		return x, err
	}
	cs, err := h.Causes(ctx, to)
	if err != nil {
		return nil, err
	}
	for i := range x.Broken {
		if x.Broken[i].Event, err = h.step(ctx, cs, eventLink(x.Broken[i].seq)); err != nil {
			return nil, err
		}
	}
	return x, nil
}
