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

// Difference is a recorded plan or collection that is not what its basis gives,
// or that is quarantined.
type Difference struct {
	Seq      events.Seq // of the plan
	Recorded *events.Plan
	Decided  *events.Plan // nil: nothing was due

	// Of a collection, instead of a plan.
	Collection, Collected *events.Collection

	// Of one that is quarantined, instead of both.
	Quarantined *projector.Quarantined
}

func (d *Difference) String() string {
	if q := d.Quarantined; q != nil {
		return fmt.Sprintf("%s, quarantined: %s: %s", planName(q), q.Code, q.Why)
	}
	if c := d.Collection; c != nil {
		return fmt.Sprintf("collection #%d, basis #%d: %s", d.Seq, c.Basis.Seq, d.firstCollected())
	}
	return fmt.Sprintf("plan #%d for %s, basis #%d: %s", d.Seq, d.Recorded.DaemonSet, d.Recorded.Basis.Seq, d.first())
}

// planName names a plan that is not believed.
func planName(q *projector.Quarantined) string {
	if q.Type == events.CollectionPlanned {
		return fmt.Sprintf("collection #%d", q.Seq)
	}
	return fmt.Sprintf("plan #%d for %s", q.Seq, q.Ref.Key)
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

// firstCollected says where the two collections part.
func (d *Difference) firstCollected() string {
	var decided []events.CollectCommand
	if d.Collected != nil {
		decided = d.Collected.Commands
	}
	for i, c := range d.Collection.Commands {
		if i < len(decided) && !reflect.DeepEqual(c, decided[i]) {
			return fmt.Sprintf("command %d: recorded %+v, decided %+v", i, c, decided[i])
		}
	}
	return fmt.Sprintf("recorded %d commands, decided %d", len(d.Collection.Commands), len(decided))
}

// Report is what Verify found.
type Report struct {
	Equal       int                     // plans and collections that were decided the same
	Different   int                     // that were not, the quarantined ones among them
	Differences []*Difference           // the first of them, at most MaxNamed, by position
	Quarantined int                     // events that are quarantined and are no plans
	Passed      []projector.Quarantined // the first of them, at most MaxNamed
}

// MaxNamed bounds the differences that a report names; it counts all.
const MaxNamed = 100

// First returns the first difference, or nil.
func (r *Report) First() *Difference {
	if len(r.Differences) == 0 {
		return nil
	}
	return r.Differences[0]
}

func (r *Report) differ(d *Difference) {
	r.Different++
	if len(r.Differences) < MaxNamed {
		r.Differences = append(r.Differences, d)
	}
}

// passOver notes an event that the fold quarantined. A plan among them is one
// that nobody decided there.
func (r *Report) passOver(e events.Event, b events.Unreadable) {
	q := projector.Quarantined{Seq: e.Seq, Type: e.Type, Ref: b.Ref, Code: b.Code, Why: b.Why}
	if e.Type == events.Planned || e.Type == events.CollectionPlanned {
		r.differ(&Difference{Seq: e.Seq, Quarantined: &q})
		return
	}
	r.Quarantined++
	if len(r.Passed) < MaxNamed {
		r.Passed = append(r.Passed, q)
	}
}

// recorded is a plan or a collection of a log.
type recorded struct {
	seq   events.Seq
	basis events.Basis
	body  events.Body
}

// again decides what was recorded again from the state of its basis.
func (r recorded) again(s *projector.State) (*Difference, error) {
	d := &Difference{Seq: r.seq}
	var is events.Body
	switch b := r.body.(type) {
	case *events.Plan:
		d.Recorded, d.Decided = b, controller.Reconcile(s, b.DaemonSet, r.basis.Now).Plan
		if is = d.Decided; d.Decided == nil {
			return d, nil
		}
	case *events.Collection:
		d.Collection, d.Collected = b, controller.Collect(s, r.basis.Now)
		if is = d.Collected; d.Collected == nil {
			return d, nil
		}
	}
	same, err := sameBytes(r.body, is)
	if err != nil || !same {
		return d, err
	}
	return nil, nil
}

// unknown is the difference of what was decided from what the log does not hold.
func (r recorded) unknown() *Difference {
	d := &Difference{Seq: r.seq}
	d.Recorded, _ = r.body.(*events.Plan)
	d.Collection, _ = r.body.(*events.Collection)
	return d
}

// Verify decides every plan and every collection of the log again from its
// basis and compares the bytes. A difference does not end it: the state goes on
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
			r.differ(p.unknown())
		}
	}
	slices.SortStableFunc(r.Differences, func(a, b *Difference) int { return int(min(1, max(-1, int64(a.Seq)-int64(b.Seq)))) })
	return r, nil
}

// plansOf returns what the log says was decided, by basis, without what is
// quarantined.
func plansOf(ctx context.Context, log events.Reader) (map[events.Seq][]recorded, error) {
	byBasis := map[events.Seq][]recorded{}
	screen := events.NewScreen()
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return nil, err
		}
		switch b := screen.Take(e).Body.(type) {
		case *events.Plan:
			byBasis[b.Basis.Seq] = append(byBasis[b.Basis.Seq], recorded{e.Seq, b.Basis, b})
		case *events.Collection:
			byBasis[b.Basis.Seq] = append(byBasis[b.Basis.Seq], recorded{e.Seq, b.Basis, b})
		}
	}
	return byBasis, nil
}

func sameBytes(a, b events.Body) (bool, error) {
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
