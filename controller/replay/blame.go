package replay

import (
	"context"

	"rollcall/controller/condition"
	"rollcall/events"
	"rollcall/projector"
)

// Blame is what there is to say about an event that breaks something.
type Blame struct {
	Changed []TermChange `json:"changed,omitempty"` // what the expression compares
	// Command is the one that the event comes from; nil: the controller did not
	// cause it.
	Command *Step `json:"command,omitempty"`
	// Before is the last plan with commands before the event, if none has caused it.
	Before *Step `json:"lastPlanBefore,omitempty"`
	// Begun is what the command comes from in the end, from outside.
	Begun *Step `json:"begun,omitempty"`
	// Without: somebody outside wrote Begun, and it can be left out of the history.
	Without events.Seq `json:"withoutEvent,omitempty"`
}

// TermChange is what one side of a comparison was before an event, and is after it.
type TermChange struct {
	Term string `json:"term"`
	Was  string `json:"was"`
	Is   string `json:"is"`
}

// Blame says who caused what an event has broken. c is the expression that it
// breaks; nil: it breaks an invariant.
func (h *History) Blame(ctx context.Context, c *condition.Condition, at events.Seq) (*Blame, error) {
	b := &Blame{}
	cs, err := h.reach(ctx, extent{from: at, to: at}, eventLink(at))
	if err != nil {
		return nil, err
	}
	chain := cs.Chain(eventLink(at))
	var command Link
	for _, l := range chain {
		if _, ok := l.Command(); ok && command.IsZero() {
			command = l
		}
	}
	if len(cs.reasons[at]) > 0 { // a plan is the controller's word
		command = Link{at, 0}
		if cs, err = h.reach(ctx, extent{from: at, to: at}, command); err != nil {
			return nil, err
		}
		chain = cs.Chain(command)
	}
	if !command.IsZero() {
		if b.Command, err = h.linkStep(ctx, cs, command); err != nil {
			return nil, err
		}
		last := chain[len(chain)-1]
		if _, ok := last.Command(); !ok {
			if b.Begun, err = h.linkStep(ctx, cs, last); err != nil {
				return nil, err
			}
			if s := b.Begun; !s.Before && s.Source != "controller" && s.Source != "executor" && s.Source != "kubelet" {
				b.Without = s.Seq
			}
		}
	} else if plan, cs, err := h.planBefore(ctx, at); err != nil {
		return nil, err
	} else if plan > 0 {
		if b.Before, err = h.linkStep(ctx, cs, eventLink(plan)); err != nil {
			return nil, err
		}
	}
	if c != nil {
		b.Changed, err = h.termsAt(ctx, c, at)
	}
	return b, err
}

func (h *History) linkStep(ctx context.Context, cs *Causes, l Link) (*Step, error) {
	s, err := h.step(ctx, cs, l)
	return &s, err
}

// planBefore returns the last plan with commands before a position, and causes that
// tell of it; 0: there is none.
func (h *History) planBefore(ctx context.Context, at events.Seq) (events.Seq, *Causes, error) {
	for size := h.reached; ; size *= 4 {
		cs, err := h.causes(ctx, extent{from: at - min(at, size), to: at})
		if err != nil {
			return 0, nil, err
		}
		for seq := at - 1; seq >= cs.first && seq > 0; seq-- {
			if len(cs.reasons[seq]) > 0 {
				return seq, cs, nil
			}
		}
		if cs.first == h.before+1 {
			return 0, cs, nil
		}
	}
}

// termsAt returns what the sides of the comparisons were before an event, and are
// after it.
func (h *History) termsAt(ctx context.Context, c *condition.Condition, at events.Seq) (all []TermChange, err error) {
	begin := max(at, h.span.First+1) - 2
	s, err := h.At(ctx, max(begin, h.span.First-1))
	if err != nil {
		return nil, err
	}
	w, err := c.Begin(s)
	if err != nil {
		return nil, err
	}
	was := map[string]string{}
	_, err = h.forward(ctx, s, at, Visit{After: func(s *projector.State, e events.Event) error {
		if _, _, err := w.Take(ctx, s, e); err != nil {
			return err
		}
		for _, t := range w.Terms(ctx) {
			if before, ok := was[t.Text]; ok && e.Seq == at && before != t.Value {
				all = append(all, TermChange{t.Text, before, t.Value})
			}
			was[t.Text] = t.Value
		}
		return nil
	}})
	return all, err
}
