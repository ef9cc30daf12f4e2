// Package replay decides again what a log says was decided.
package replay

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
)

// Difference is a recorded plan that is not what its basis gives.
type Difference struct {
	Seq      events.Seq // of the plan
	Recorded *events.Plan
	Decided  *events.Plan // nil: nothing was due
}

func (d *Difference) String() string {
	return fmt.Sprintf("plan #%d for %s, basis #%d: %s", d.Seq, d.Recorded.DaemonSet, d.Recorded.Basis.Seq, d.first())
}

// first says where the two plans part.
func (d *Difference) first() string {
	if d.Decided == nil {
		return fmt.Sprintf("recorded %d commands, decided none", len(d.Recorded.Commands))
	}
	for i, c := range d.Recorded.Commands {
		if i >= len(d.Decided.Commands) {
			return fmt.Sprintf("recorded %d commands, decided %d", len(d.Recorded.Commands), i)
		}
		if o := d.Decided.Commands[i]; c != o {
			return fmt.Sprintf("command %d: recorded %s %s on %s (%s), decided %s %s on %s (%s)",
				i, c.Do, c.Pod, c.Node, c.Reason, o.Do, o.Pod, o.Node, o.Reason)
		}
	}
	if n := len(d.Decided.Commands); n > len(d.Recorded.Commands) {
		return fmt.Sprintf("recorded %d commands, decided %d", len(d.Recorded.Commands), n)
	}
	return fmt.Sprintf("recorded rollout %+v waiting %v held %v, decided %+v waiting %v held %v",
		d.Recorded.Rollout, d.Recorded.Waiting, d.Recorded.Held, d.Decided.Rollout, d.Decided.Waiting, d.Decided.Held)
}

type recorded struct {
	seq  events.Seq
	plan *events.Plan
}

// Verify decides every plan of the log again from its basis and compares the
// bytes. It returns the number of plans that were equal, and the first
// difference or nil. The log is read twice.
func Verify(ctx context.Context, log events.Reader) (equal int, diff *Difference, err error) {
	byBasis := map[events.Seq][]recorded{}
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return 0, nil, fmt.Errorf("read plans: %w", err)
		}
		if p, ok := e.Body.(*events.Plan); ok {
			byBasis[p.Basis.Seq] = append(byBasis[p.Basis.Seq], recorded{e.Seq, p})
		}
	}
	s := projector.New("")
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return equal, nil, fmt.Errorf("fold: %w", err)
		}
		projector.Fold(s, e)
		for _, r := range byBasis[e.Seq] {
			got := controller.Reconcile(s, r.plan.DaemonSet, r.plan.Basis.Now).Plan
			same, err := samePlan(r.plan, got)
			if err != nil {
				return equal, nil, err
			}
			if !same {
				return equal, &Difference{r.seq, r.plan, got}, nil
			}
			equal++
		}
		delete(byBasis, e.Seq)
	}
	if len(byBasis) > 0 { // a basis that the log does not hold
		first := byBasis[slices.Min(slices.Collect(maps.Keys(byBasis)))][0]
		return equal, &Difference{first.seq, first.plan, nil}, nil
	}
	return equal, nil, nil
}

func samePlan(a, b *events.Plan) (bool, error) {
	if b == nil {
		return false, nil
	}
	x, err := events.Encode(events.Event{Type: events.Planned, Body: a})
	if err != nil {
		return false, err
	}
	y, err := events.Encode(events.Event{Type: events.Planned, Body: b})
	if err != nil {
		return false, err
	}
	return bytes.Equal(x, y), nil
}
