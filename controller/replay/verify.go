// Package replay decides again what a log says was decided.
package replay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/seal"
	"rollcall/projector"
)

// Difference is a recorded plan that is not what its basis gives, or that is
// quarantined; or what two programs decide in its place.
type Difference struct {
	Seq         events.Seq             // of the plan
	Recorded    *events.Plan           // or of the other program; nil: it is quarantined, or nothing was due
	Decided     *events.Plan           // nil: nothing was due
	Quarantined *projector.Quarantined // nil: it is not
}

var nothing events.Plan

// recorded returns the recorded plan, or an empty one.
func (d *Difference) recorded() *events.Plan { return cmp.Or(d.Recorded, &nothing) }

// decided returns the plan that is decided now, or an empty one.
func (d *Difference) decided() *events.Plan { return cmp.Or(d.Decided, &nothing) }

func (d *Difference) owner() events.Ref { return cmp.Or(d.Recorded, d.decided()).Owner }

func (d *Difference) basis() events.Basis { return cmp.Or(d.Recorded, d.decided()).Basis }

// MarshalJSON implements json.Marshaler.
func (d *Difference) MarshalJSON() ([]byte, error) {
	x := struct {
		Plan    events.Seq   `json:"plan"`
		Owner   events.Ref   `json:"owner,omitzero"`
		Basis   events.Basis `json:"basis,omitzero"`
		Changes []string     `json:"changes"`
	}{Plan: d.Seq, Changes: d.Changes()}
	if d.Quarantined == nil {
		x.Owner, x.Basis = d.owner(), d.basis()
	}
	return json.Marshal(x)
}

func (d *Difference) String() string {
	if q := d.Quarantined; q != nil {
		return fmt.Sprintf("%s, quarantined: %s: %s", planName(d.Seq, q.Ref), q.Code, q.Why)
	}
	return fmt.Sprintf("%s, basis #%d: %s", planName(d.Seq, d.owner()), d.basis().Seq, d.first())
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
	recorded, decided := d.recorded(), d.decided()
	for i, c := range recorded.Commands {
		if i < len(decided.Commands) && !reflect.DeepEqual(c, decided.Commands[i]) {
			return fmt.Sprintf("command %d: recorded %s, decided %s", i, c, decided.Commands[i])
		}
	}
	if n, m := len(recorded.Commands), len(decided.Commands); n != m || d.Recorded == nil || d.Decided == nil {
		return fmt.Sprintf("recorded %d commands, decided %d", n, m)
	}
	return fmt.Sprintf("recorded rollout %+v waiting %v held %v, decided %+v waiting %v held %v",
		recorded.Rollout, recorded.Waits(), recorded.Held, decided.Rollout, decided.Waits(), decided.Held)
}

// Report is what Verify found.
type Report struct {
	Equal       int                     // plans that were decided the same
	Differences []*Difference           // those, by position
	Quarantined int                     // events that are quarantined and are no plans
	Passed      []projector.Quarantined // the first of them, at most maxPassed
	Clear       int                     // values of Secrets that stand in events in clear
	End         chain.Position          // of the log, with the hash over all events up to there
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

// again decides the plan again from the state of its basis.
func (r recorded) again(s *projector.State) *Difference {
	d := &Difference{Seq: r.seq, Recorded: r.plan}
	if owner := r.plan.Owner; owner == (events.Ref{}) {
		d.Decided = controller.PlanGC(s, r.plan.Basis.Now)
	} else {
		d.Decided = controller.Reconcile(s, owner.Key, r.plan.Basis.Now).Plan
	}
	return d
}

// same reports whether both plans are the same bytes.
func (d *Difference) same() (bool, error) {
	recorded, err := encodePlan(d.Recorded)
	if err != nil {
		return false, err
	}
	decided, err := encodePlan(d.Decided)
	return bytes.Equal(recorded, decided), err
}

// deciding is what is told of a log that is decided again. Neither may keep the
// state, which goes on.
type deciding struct {
	// plan is called with every plan that is not quarantined, by position, and with what is decided now; same: the bytes are equal.
	plan func(d *Difference, same bool) error
	// after is called with every event as it was folded, and the state after it.
	// nil: nobody asks.
	after func(*projector.State, events.Event) error
}

// decide decides every plan of the log again from its basis, from a state on that
// the log begins with. The state goes on from what the log says, and not from what
// would have been decided. The log is read twice.
func decide(ctx context.Context, log events.Reader, s *projector.State, v deciding) error {
	byBasis, err := plansOf(ctx, log, s.Seq())
	if err != nil {
		return fmt.Errorf("read plans: %w", err)
	}
	decided := map[events.Seq]*Difference{} // plans that are still to come, by position
	again := func() {
		for _, p := range byBasis[s.Seq()] {
			decided[p.seq] = p.again(s)
		}
		delete(byBasis, s.Seq())
	}
	again()
	for e, err := range log.Read(ctx, s.Seq()) {
		if err != nil {
			return fmt.Errorf("fold: %w", err)
		}
		e = projector.Fold(s, e)
		if v.after != nil {
			if err := v.after(s, e); err != nil {
				return err
			}
		}
		again()
		p, ok := e.Body.(*events.Plan)
		if !ok {
			delete(decided, e.Seq) // a plan that is quarantined
			continue
		}
		d, same := decided[e.Seq], false
		if d == nil { // its basis is not in the log
			d = &Difference{Seq: e.Seq, Recorded: p}
		} else if same, err = d.same(); err != nil {
			return err
		}
		delete(decided, e.Seq)
		if err := v.plan(d, same); err != nil {
			return err
		}
	}
	return nil
}

// Verify decides every plan of the log again from its basis and compares the
// bytes. A difference does not end it.
func Verify(ctx context.Context, log events.Reader) (Report, error) {
	s, err := Begin(ctx, log)
	if err != nil {
		return Report{}, err
	}
	return verify(ctx, log, s)
}

// Verify is the function of that name on the history, as far as it goes.
func (h *History) Verify(ctx context.Context) (Report, error) {
	s, err := h.Begin(ctx)
	if err != nil {
		return Report{}, err
	}
	return verify(ctx, h.log, s)
}

func verify(ctx context.Context, log events.Reader, s *projector.State) (r Report, err error) {
	err = decide(ctx, log, s, deciding{
		plan: func(d *Difference, same bool) error {
			if same {
				r.Equal++
			} else {
				r.differ(d)
			}
			return nil
		},
		after: func(s *projector.State, e events.Event) error {
			switch b := e.Body.(type) {
			case events.Unreadable:
				r.passOver(e, b)
			case events.Object:
				r.Clear += seal.Find(b).Clear
			case events.Gone:
				r.Clear += seal.Find(events.Object(b)).Clear
			}
			r.End = s.Position()
			return nil
		},
	})
	return r, err
}

// plansOf returns the plans of the log after a position by basis, also those that
// are quarantined.
func plansOf(ctx context.Context, log events.Reader, after events.Seq) (map[events.Seq][]recorded, error) {
	byBasis := map[events.Seq][]recorded{}
	for e, err := range log.Read(ctx, after) {
		if err != nil {
			return nil, err
		}
		if p, ok := e.Body.(*events.Plan); ok {
			byBasis[p.Basis.Seq] = append(byBasis[p.Basis.Seq], recorded{e.Seq, p})
		}
	}
	return byBasis, nil
}

// encodePlan returns the bytes of a plan, nil for none.
func encodePlan(p *events.Plan) ([]byte, error) {
	if p == nil {
		return nil, nil
	}
	return events.Encode(events.Event{Type: p.Type(), Body: p})
}
