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
	return x, h.tell(ctx, x)
}

// tell says of what was found which events those are.
func (h *History) tell(ctx context.Context, x *Checked) error {
	if len(x.Broken) == 0 {
		return nil
	}
	s, err := h.nearest(ctx, x.Broken[0].seq-1)
	if err != nil {
		return err
	}
	cs, err := h.facts(ctx, s, x.Broken[len(x.Broken)-1].seq)
	if err != nil {
		return err
	}
	for i := range x.Broken {
		if x.Broken[i].Event, err = h.step(ctx, cs, eventLink(x.Broken[i].seq)); err != nil {
			return err
		}
	}
	return nil
}

// checkInvariants passes over the log up to x.To.
func (h *History) checkInvariants(ctx context.Context, ps Properties, x *Checked) error {
	s, err := h.Begin(ctx)
	if err != nil {
		return err
	}
	j := &judged{Properties: ps, from: x.From, w: invariant.NewWatch(ps.Invariants)}
	_, err = h.over(ctx, s, x.To, j, j.later)
	j.between(x)
	return err
}

// judged holds the events of a log against invariants.
type judged struct {
	Properties
	from   events.Seq // before which nothing is kept of what is found
	w      *invariant.Watch
	broken []Broken
	raced  []events.Seq // plans that were not judged
	last   events.Seq
}

// later returns what holds a later leg against the same.
func (j *judged) later(*projector.State) passer {
	return &judged{Properties: j.Properties, from: j.from, w: invariant.NewLaterWatch(j.Invariants)}
}

// visit implements passer.
func (j *judged) visit() Visit {
	raced := false
	return Visit{
		Before: func(s *projector.State, e events.Event) error {
			raced = j.w.Before(s, e)
			return nil
		},
		After: func(s *projector.State, e events.Event) error {
			found := j.w.After(s, e)
			if j.last = e.Seq; e.Seq < j.from {
				return nil
			}
			if raced {
				j.raced = append(j.raced, e.Seq)
			}
			for _, v := range found {
				j.broken = append(j.broken, Broken{Invariant: v.Invariant, What: v.What, seq: v.Seq})
			}
			if j.First && len(j.broken) > 0 {
				return errFound
			}
			return nil
		},
	}
}

// goOn implements passer.
func (j *judged) goOn(next passer) bool {
	n := next.(*judged)
	if !j.w.GoOn(n.w) {
		return false
	}
	j.broken, j.raced, j.last = append(j.broken, n.broken...), append(j.raced, n.raced...), n.last
	return true
}

// between fills in what was found from x.From to x.To.
func (j *judged) between(x *Checked) {
	within := func(seq events.Seq) bool { return x.From <= seq && seq <= x.To }
	for _, b := range j.broken {
		if within(b.seq) {
			x.Broken = append(x.Broken, b)
		}
	}
	for _, seq := range j.raced {
		if within(seq) {
			x.Raced++
		}
	}
	if last := min(j.last, x.To); last >= x.From {
		x.Events = int(last - x.From + 1)
	}
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

// enough ends the walk of who looks for the first violation of an expression alone.
func (x *Checked) enough(ps Properties) error {
	if ps.First && len(x.Broken) > 0 {
		return errFound
	}
	return nil
}
