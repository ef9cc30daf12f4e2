package replay

import (
	"context"
	"errors"
	"fmt"

	"rollcall/controller/condition"
	"rollcall/controller/invariant"
	"rollcall/events"
	"rollcall/projector"
)

// Checked says which invariants a log has broken between two positions.
type Checked struct {
	From   events.Seq `json:"from"`
	To     events.Seq `json:"to"`
	Events int        `json:"events"`
	Raced  int        `json:"plansNotJudged,omitempty"`     // something came between them and what they were decided from
	Vague  int        `json:"eventsWithoutValue,omitempty"` // at which an expression has none
	Broken []Broken   `json:"violations"`
}

// Broken is an invariant that an event has broken.
type Broken struct {
	Invariant string `json:"invariant"`
	What      string `json:"what"`
	Event     Step   `json:"event"`

	seq events.Seq // of Event
}

// Properties are what a log is held against: invariants, or an expression.
type Properties struct {
	Invariants []invariant.Invariant
	Condition  *condition.Condition // nil: the invariants
	First      bool                 // look for the first violation alone
}

// errFound ends a walk that has found what it looked for.
var errFound = errors.New("found")

// Check holds the events from from to to against properties. What invariants say
// depends on all events before, which are folded and not judged. An expression is
// broken by an event at which it is false and was not before.
func (h *History) Check(ctx context.Context, ps Properties, from, to events.Seq) (*Checked, error) {
	x := &Checked{From: from, To: to, Broken: []Broken{}}
	look := h.checkInvariants
	if ps.Condition != nil {
		look = h.checkCondition
	}
	if err := look(ctx, ps, x); err != nil && !errors.Is(err, errFound) {
		return nil, err
	}
	if ps.Condition != nil && x.Events == x.Vague {
		return nil, noValue(ps.Condition)
	}
	if len(x.Broken) == 0 {
		return x, nil
	}
	s, err := h.nearest(ctx, x.Broken[0].seq-1)
	if err != nil {
		return nil, err
	}
	cs, err := h.facts(ctx, s, x.Broken[len(x.Broken)-1].seq)
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

func (h *History) checkInvariants(ctx context.Context, ps Properties, x *Checked) error {
	w := invariant.NewWatch(ps.Invariants)
	s, err := h.At(ctx, 0)
	if err != nil {
		return err
	}
	return h.pass(ctx, s, x.To, Visit{
		Before: func(s *projector.State, e events.Event) error {
			w.Before(s, e)
			return nil
		},
		After: func(s *projector.State, e events.Event) error {
			found := w.After(s, e)
			if e.Seq < x.From {
				w.Raced = 0
				return nil
			}
			x.Events++
			x.Raced = w.Raced
			for _, v := range found {
				x.Broken = append(x.Broken, Broken{Invariant: v.Invariant, What: v.What, seq: v.Seq})
			}
			return x.enough(ps)
		},
	})
}

func (h *History) checkCondition(ctx context.Context, ps Properties, x *Checked) error {
	s, err := h.At(ctx, x.From-1)
	if err != nil {
		return err
	}
	w, err := ps.Condition.Begin(s)
	if err != nil {
		return err
	}
	broken := false
	after := func(s *projector.State, e events.Event) error {
		holds, known, err := w.Take(ctx, s, e)
		if err != nil {
			return err
		}
		x.Events++
		switch {
		case !known:
			x.Vague++
		case !holds && !broken:
			x.Broken = append(x.Broken, Broken{Invariant: ps.Condition.String(), What: "it is false from here on", seq: e.Seq})
			broken = true
			return x.enough(ps)
		case holds:
			broken = false
		}
		return nil
	}
	if !ps.Condition.UsesState() {
		return h.skim(ctx, s, x.To, after)
	}
	return h.pass(ctx, s, x.To, Visit{After: after})
}

// skim tells after of the events from a state up to a position as they would be
// folded, with no state: that is several times as fast as to fold them.
func (h *History) skim(ctx context.Context, s *projector.State, to events.Seq, after func(*projector.State, events.Event) error) error {
	at, skim := s.Seq(), projector.NewSkim(s)
	if at >= to {
		return nil
	}
	for e, err := range h.log.Log.Read(ctx, at) {
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if err := after(nil, skim.Take(e)); err != nil || e.Seq >= to {
			return err
		}
	}
	return fmt.Errorf("read up to #%d: %w", to, events.ErrTruncated)
}

// enough ends the walk of who looks for the first violation alone.
func (x *Checked) enough(ps Properties) error {
	if ps.First && len(x.Broken) > 0 {
		return errFound
	}
	return nil
}
