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

// Difference is a recorded plan or collection that is not what its basis gives.
type Difference struct {
	Seq      events.Seq // of the plan
	Recorded *events.Plan
	Decided  *events.Plan // nil: nothing was due

	// Of a collection, instead of a plan.
	Collection, Collected *events.Collection
}

func (d *Difference) String() string {
	if c := d.Collection; c != nil {
		return fmt.Sprintf("collection #%d, basis #%d: %s", d.Seq, c.Basis.Seq, d.firstCollected())
	}
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
// basis and compares the bytes. It returns the number of plans that were equal, and the first
// difference or nil. The log is read twice.
func Verify(ctx context.Context, log events.Reader) (equal int, diff *Difference, err error) {
	byBasis := map[events.Seq][]recorded{}
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return 0, nil, fmt.Errorf("read plans: %w", err)
		}
		switch b := e.Body.(type) {
		case *events.Plan:
			byBasis[b.Basis.Seq] = append(byBasis[b.Basis.Seq], recorded{e.Seq, b.Basis, b})
		case *events.Collection:
			byBasis[b.Basis.Seq] = append(byBasis[b.Basis.Seq], recorded{e.Seq, b.Basis, b})
		}
	}
	s := projector.New("")
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return equal, nil, fmt.Errorf("fold: %w", err)
		}
		projector.Fold(s, e)
		for _, r := range byBasis[e.Seq] {
			if d, err := r.again(s); d != nil || err != nil {
				return equal, d, err
			}
			equal++
		}
		delete(byBasis, e.Seq)
	}
	if len(byBasis) > 0 { // a basis that the log does not hold
		return equal, byBasis[slices.Min(slices.Collect(maps.Keys(byBasis)))][0].unknown(), nil
	}
	return equal, nil, nil
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
