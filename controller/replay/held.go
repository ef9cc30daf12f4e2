package replay

import (
	"context"
	"slices"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
)

// Held is what kept a command back whose reason held before the last plan of its
// owner, and what ended that.
type Held struct {
	Plan events.Seq         `json:"plan"`           // the plan before, which did not choose the command
	By   []events.WaitCount `json:"by"`             // what that plan held back, of all nodes
	Node events.Held        `json:"node,omitempty"` // what the node waited for, if that plan names it
	// Freed is the event without which the command would not have been planned
	// just then. Nil: no event has freed it, but time, or room in a plan.
	Freed *Step `json:"freed,omitempty"`
}

// window is from where to where it is looked for what freed a command.
type window struct {
	step     *Step
	owner    events.Ref
	from, to events.Seq
	freed    events.Seq
	due      bool
}

// held says of the decisions of an explanation what kept them back. The windows
// of one chain do not overlap, so that one walk sees all of them.
func (h *History) held(ctx context.Context, cs *Causes, steps []Step) error {
	var s *projector.State
	for i := len(steps) - 1; i >= 0; i-- {
		w, err := h.windowOf(ctx, cs, steps, i)
		if err != nil {
			return err
		}
		if w == nil {
			continue
		}
		if w.freed = cs.freedAt(w.step); w.freed == unsure {
			if s, err = h.look(ctx, s, w); err != nil {
				return err
			}
		}
		if w.freed == 0 {
			continue
		}
		freed, err := h.step(ctx, cs, eventLink(w.freed))
		if err != nil {
			return err
		}
		w.step.Decision.Held.Freed = &freed
	}
	return nil
}

// freedAt returns what is known of what freed the command of a step.
func (c *Causes) freedAt(s *Step) events.Seq {
	if c.freed == nil {
		return unsure
	}
	if of := c.freed[s.Seq]; s.Decision.Index < len(of) {
		return of[s.Decision.Index]
	}
	return 0
}

// look decides again, event by event of a window, to find what freed a command. It
// goes on from a state before it, which may be nil.
func (h *History) look(ctx context.Context, s *projector.State, w *window) (*projector.State, error) {
	s, err := h.forward(ctx, s, w.from, Visit{})
	if err != nil {
		return nil, err
	}
	w.freed, w.due = 0, w.chosen(s)
	if s, err = h.forward(ctx, s, w.to, Visit{After: w.after}); err != nil {
		return nil, err
	}
	if !w.due {
		w.freed = 0
	}
	return s, nil
}

// windowOf returns the window of a step that is a command which was kept back;
// nil: it is none.
func (h *History) windowOf(ctx context.Context, cs *Causes, steps []Step, i int) (*window, error) {
	d := steps[i].Decision
	if d == nil || i+1 == len(steps) || d.owner == (events.Ref{}) {
		return nil, nil
	}
	plans := cs.plans[d.owner.Key]
	n, _ := slices.BinarySearch(plans, steps[i].Seq)
	if n == 0 {
		return nil, nil
	}
	e, err := h.Event(ctx, plans[n-1])
	if err != nil {
		return nil, err
	}
	p, ok := e.Body.(*events.Plan)
	if !ok || p.Basis.Seq < steps[i+1].Seq || cs.before(p.Basis.Seq) {
		return nil, nil // that one was decided before it was called for, or from what is not known
	}
	d.Held = &Held{Plan: e.Seq, By: p.Held}
	for _, w := range p.Waits() {
		if w.Node == d.Command.Node {
			d.Held.Node = w.For
		}
	}
	return &window{step: &steps[i], owner: d.owner, from: p.Basis.Seq, to: d.Basis.Seq}, nil
}

// after notes whether the command is chosen after an event, and was not before.
func (w *window) after(s *projector.State, e events.Event) error {
	if !slices.Contains(s.Touched(), w.owner.Key) {
		return nil
	}
	due := w.chosen(s)
	if due && !w.due {
		w.freed = e.Seq
	}
	w.due = due
	return nil
}

// chosen reports whether the command would be planned in a state.
func (w *window) chosen(s *projector.State) bool {
	p := controller.Reconcile(s, w.owner.Key, s.Time()).Plan
	c := w.step.Decision.Command
	return p != nil && slices.ContainsFunc(p.Commands, func(x events.Command) bool {
		return x.Node == c.Node && x.NodeUID == c.NodeUID && controller.CallOf(x) == controller.CallOf(c)
	})
}
