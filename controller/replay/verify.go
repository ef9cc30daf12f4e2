// Package replay decides again what a log says was decided.
package replay

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
)

// Difference is a recorded plan that is not what its basis gives, or that is
// quarantined.
type Difference struct {
	Seq         events.Seq             // of the plan
	Recorded    *events.Plan           // nil: it is quarantined
	Decided     *events.Plan           // nil: nothing was due
	Quarantined *projector.Quarantined // nil: it is not
}

func (d *Difference) String() string {
	if q := d.Quarantined; q != nil {
		return fmt.Sprintf("%s, quarantined: %s: %s", planName(d.Seq, q.Ref), q.Code, q.Why)
	}
	return fmt.Sprintf("%s, basis #%d: %s", planName(d.Seq, d.Recorded.Owner), d.Recorded.Basis.Seq, d.first())
}

// planName names a plan; those of the garbage collector have no owner.
func planName(at events.Seq, owner events.Ref) string {
	if owner == (events.Ref{}) {
		return fmt.Sprintf("plan #%d of the garbage collector", at)
	}
	return fmt.Sprintf("plan #%d for %s", at, owner.Key)
}

// first says where the two plans part.
func (d *Difference) first() string {
	var decided events.Plan
	if d.Decided != nil {
		decided = *d.Decided
	}
	for i, c := range d.Recorded.Commands {
		if i < len(decided.Commands) && !reflect.DeepEqual(c, decided.Commands[i]) {
			return fmt.Sprintf("command %d: recorded %s, decided %s", i, c, decided.Commands[i])
		}
	}
	if n, m := len(d.Recorded.Commands), len(decided.Commands); n != m || d.Decided == nil {
		return fmt.Sprintf("recorded %d commands, decided %d", n, m)
	}
	return fmt.Sprintf("recorded rollout %+v waiting %v held %v, decided %+v waiting %v held %v",
		d.Recorded.Rollout, d.Recorded.Waits(), d.Recorded.Held, decided.Rollout, decided.Waits(), decided.Held)
}

// Report is what Verify found.
type Report struct {
	Equal       int                     // plans that were decided the same
	Differences []*Difference           // those, by position
	Quarantined int                     // events that are quarantined and are no plans
	Passed      []projector.Quarantined // the first of them, at most maxPassed
}

// maxPassed bounds the quarantined events that a report names; it counts all.
const maxPassed = 100

// First returns the first difference, or nil.
func (r *Report) First() *Difference {
	if len(r.Differences) == 0 {
		return nil
	}
	return r.Differences[0]
}

func (r *Report) differ(d *Difference) { r.Differences = append(r.Differences, d) }

// passOver notes an event that the fold quarantined. A plan among them is one
// that nobody decided there.
func (r *Report) passOver(e events.Event, b events.Unreadable) {
	q := projector.Quarantined{Seq: e.Seq, Type: e.Type, Ref: b.Ref, Code: b.Code, Why: b.Why}
	if e.Type == events.Planned || e.Type == events.GCPlanned {
		r.differ(&Difference{Seq: e.Seq, Quarantined: &q})
		return
	}
	r.Quarantined++
	if len(r.Passed) < maxPassed {
		r.Passed = append(r.Passed, q)
	}
}

// recorded is a plan of a log.
type recorded struct {
	seq  events.Seq
	plan *events.Plan
}

// again decides the plan again from the state of its basis; nil: it is the same.
func (r recorded) again(s *projector.State) (*Difference, error) {
	d := &Difference{Seq: r.seq, Recorded: r.plan}
	if owner := r.plan.Owner; owner == (events.Ref{}) {
		d.Decided = controller.PlanGC(s, r.plan.Basis.Now)
	} else {
		d.Decided = controller.Reconcile(s, owner.Key, r.plan.Basis.Now).Plan
	}
	if d.Decided == nil {
		return d, nil
	}
	same, err := sameBytes(d.Recorded, d.Decided)
	if err != nil || !same {
		return d, err
	}
	return nil, nil
}

// Verify decides every plan of the log again from its basis and compares the
// bytes. A difference does not end it: the state goes on
// from what the log says, and not from what would have been decided. The log is
// read twice.
func Verify(ctx context.Context, log events.Reader) (Report, error) {
	var r Report
	byBasis, err := plansOf(ctx, log)
	if err != nil {
		return r, fmt.Errorf("read plans: %w", err)
	}
	s := projector.New("")
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return r, fmt.Errorf("fold: %w", err)
		}
		e = projector.Fold(s, e)
		if b, ok := e.Body.(events.Unreadable); ok {
			r.passOver(e, b)
		}
		for _, p := range byBasis[e.Seq] {
			d, err := p.again(s)
			switch {
			case err != nil:
				return r, err
			case d != nil:
				r.differ(d)
			default:
				r.Equal++
			}
		}
		delete(byBasis, e.Seq)
	}
	for _, basis := range slices.Sorted(maps.Keys(byBasis)) { // that the log does not hold
		for _, p := range byBasis[basis] {
			r.differ(&Difference{Seq: p.seq, Recorded: p.plan})
		}
	}
	slices.SortStableFunc(r.Differences, func(a, b *Difference) int { return int(min(1, max(-1, int64(a.Seq)-int64(b.Seq)))) })
	return r, nil
}

// plansOf returns the plans of the log by basis, without those that are
// quarantined.
func plansOf(ctx context.Context, log events.Reader) (map[events.Seq][]recorded, error) {
	byBasis := map[events.Seq][]recorded{}
	screen := events.NewScreen()
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return nil, err
		}
		if p, ok := screen.Take(e).Body.(*events.Plan); ok {
			byBasis[p.Basis.Seq] = append(byBasis[p.Basis.Seq], recorded{e.Seq, p})
		}
	}
	return byBasis, nil
}

func sameBytes(a, b *events.Plan) (bool, error) {
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
