package replay

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"rollcall/controller/condition"
	"rollcall/events"
	"rollcall/projector"
)

// Halved is where an expression turned false between two positions.
type Halved struct {
	Good   events.Seq // true
	Bad    events.Seq // false, right after Good
	Probes int        // positions at which it was evaluated
}

// maxScan is what an expression may cost at all events together for all of them to
// be looked at: some seconds.
const maxScan = 20_000_000

// Costly reports whether a condition costs so much that only few events between
// two positions are to be looked at, and can be: it is true at the first and false
// at the last. One that is true is evaluated to its end.
func (h *History) Costly(ctx context.Context, c *condition.Condition, good, bad events.Seq) (bool, error) {
	holds, _, err := h.valueAt(ctx, c, good)
	if err != nil || !holds || c.Cost()*uint64(bad-good+1) <= maxScan {
		return false, err
	}
	holds, known, err := h.valueAt(ctx, c, bad)
	return known && !holds, err
}

// Halve looks for an event at which a condition turns false, between a position
// where it is true and a later one where it is false. It evaluates the condition
// at few positions: of several such events it finds one, not the first.
func (h *History) Halve(ctx context.Context, c *condition.Condition, good, bad events.Seq) (x Halved, err error) {
	for _, end := range []struct {
		at   events.Seq
		want bool
		name string
	}{{good, true, "good"}, {bad, false, "bad"}} {
		x.Probes++
		if holds, err := h.holdsAt(ctx, c, end.at); err != nil {
			return x, err
		} else if holds != end.want {
			return x, &events.Error{Code: "E-REPLAY-RANGE", What: fmt.Sprintf("--%s, #%d, is not %s: the expression is %t there", end.name, end.at, end.name, holds),
				Do: "give a position where it is true and a later one where it is false, or leave out --halve", Exit: events.ExitInput}
		}
	}
	for x.Good, x.Bad = good, bad; x.Bad-x.Good > 1; x.Probes++ {
		middle := x.Good + (x.Bad-x.Good)/2
		holds, err := h.holdsAt(ctx, c, middle)
		if err != nil {
			return x, err
		}
		if holds {
			x.Good = middle
		} else {
			x.Bad = middle
		}
	}
	return x, nil
}

// holdsAt evaluates a condition at one position. One without a value there cannot
// be halved by.
func (h *History) holdsAt(ctx context.Context, c *condition.Condition, at events.Seq) (bool, error) {
	holds, known, err := h.valueAt(ctx, c, at)
	if err == nil && !known {
		err = &events.Error{Code: "E-REPLAY-EXPR", What: fmt.Sprintf("the expression %q has no value at #%d", c, at), Why: "something that it names is not there",
			Do: "leave out --halve, or ask with has(...)", Exit: events.ExitInput}
	}
	return holds, err
}

// valueAt evaluates a condition at one position.
func (h *History) valueAt(ctx context.Context, c *condition.Condition, at events.Seq) (holds, known bool, err error) {
	s, err := h.At(ctx, at-1)
	if err != nil {
		return false, false, err
	}
	w, err := c.Begin(s)
	if err != nil {
		return false, false, err
	}
	_, err = h.forward(ctx, s, at, Visit{After: func(s *projector.State, e events.Event) (err error) {
		holds, known, err = w.Take(ctx, s, e)
		return err
	}})
	return holds, known, err
}

// Parting is where two logs part.
type Parting struct {
	From   events.Seq `json:"from"`            // the first position that both have
	Same   int        `json:"same"`            // events before
	First  *Step      `json:"first,omitempty"` // the next of the one; nil: it ends there
	Second *Step      `json:"second,omitempty"`
}

// Parted reports whether the logs part at all.
func (p *Parting) Parted() bool { return p.First != nil || p.Second != nil }

// Part compares the events of two logs, byte by byte, from the first position that
// both have.
func Part(ctx context.Context, a, b *History) (*Parting, error) {
	before := max(a.before, b.before)
	if before >= min(a.span.Last, b.span.Last) {
		return nil, &events.Error{Code: "E-CLI-RANGE", What: "the logs have no position in common", Why: fmt.Sprintf("the one goes from #%d to #%d, the other from #%d to #%d", a.span.First, a.span.Last, b.span.First, b.span.Last),
			Do: "give one that has the positions of the other", Exit: events.ExitInput}
	}
	nextA, stopA := iter.Pull2(a.rest(ctx, before))
	defer stopA()
	nextB, stopB := iter.Pull2(b.rest(ctx, before))
	defer stopB()
	for p := (&Parting{From: before + 1}); ; p.Same++ {
		e, errA, okA := nextA()
		f, errB, okB := nextB()
		switch {
		case errA != nil:
			return nil, errA
		case errB != nil:
			return nil, fmt.Errorf("the other log: %w", errB)
		case okA && okB && e.Seq == f.Seq && bytes.Equal(e.Raw, f.Raw):
			continue
		case okA:
			s := stepOf(eventLink(e.Seq), e, events.Event{})
			p.First = &s
		}
		if okB {
			s := stepOf(eventLink(f.Seq), f, events.Event{})
			p.Second = &s
		}
		return p, nil
	}
}

// rest yields the events of the history after a position.
func (h *History) rest(ctx context.Context, seq events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		if seq >= h.span.Last {
			return
		}
		for e, err := range h.log.Read(ctx, seq) {
			if !yield(e, err) || err != nil || e.Seq >= h.span.Last {
				return
			}
		}
	}
}
