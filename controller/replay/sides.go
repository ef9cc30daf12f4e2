package replay

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"rollcall/controller"
	"rollcall/events"
)

// Sides are the two plans of a difference side by side, with why the one that is
// decided now is as it is.
type Sides struct {
	Seq   events.Seq    `json:"seq"`
	Owner events.Ref    `json:"owner,omitzero"` // zero: of the garbage collector
	Basis events.Basis  `json:"basis"`
	Rows  []Row         `json:"commands"` // those that are the same are left out
	Same  int           `json:"same"`     // how many those are
	Was   events.Budget `json:"recordedRollout,omitzero"`
	Is    events.Budget `json:"decidedRollout,omitzero"`
	Says  string        `json:"says,omitempty"` // why there is nothing to be compared
	Other string        `json:"other,omitempty"`
}

// Row is one command on both sides; nil: that side has none.
type Row struct {
	Was *events.Command `json:"recorded,omitempty"`
	Is  *events.Command `json:"decided,omitempty"`
	Why string          `json:"why,omitempty"` // the rule that asks for it now, or what holds it back
}

// Sides puts the plans of a difference side by side, in the order of the commands,
// and asks the deciding functions for the reasons.
func (h *History) Sides(ctx context.Context, d *Difference) (*Sides, error) {
	if q := d.Quarantined; q != nil {
		return &Sides{Seq: d.Seq, Owner: q.Ref, Says: "nobody decided it there: " + q.Code + ": " + q.Why, Rows: []Row{}}, nil
	}
	was, is := d.recorded(), d.decided()
	x := &Sides{Seq: d.Seq, Owner: d.owner(), Basis: d.basis(), Was: was.Rollout, Is: is.Rollout, Rows: []Row{}}
	if x.Basis.Seq > 0 && h.holds(x.Basis.Seq) != nil {
		x.Says = fmt.Sprintf("the log does not hold #%d, which it was decided from", x.Basis.Seq)
		return x, nil
	}
	s, err := h.At(ctx, x.Basis.Seq)
	if err != nil {
		return nil, err
	}
	var t controller.Trace
	if x.Owner != (events.Ref{}) {
		_, trace := controller.Explain(s, x.Owner.Key, x.Basis.Now)
		t = *trace
	}
	at := places(is.Commands)
	for _, c := range was.Commands {
		switch j, ok := at[aimOf(c)]; {
		case !ok:
			x.Rows = append(x.Rows, Row{Was: &c, Why: heldBack(t, c.Node)})
		case reflect.DeepEqual(c, is.Commands[j]):
			x.Same++
		default:
			x.Rows = append(x.Rows, Row{&c, &is.Commands[j], rules[is.Commands[j].Reason]})
		}
	}
	at = places(was.Commands)
	for _, c := range is.Commands {
		if _, ok := at[aimOf(c)]; !ok {
			x.Rows = append(x.Rows, Row{Is: &c, Why: rules[c.Reason]})
		}
	}
	if len(x.Rows) == 0 {
		x.Other = d.first()
		if changes := d.Changes(); len(changes) > 0 {
			x.Other = changes[0]
		}
	}
	return x, nil
}

// heldBack says what keeps a node from a command, by the trace of the decision.
func heldBack(t controller.Trace, node string) string {
	i := slices.IndexFunc(t.Blockers, func(b controller.Blocker) bool { return b.Node == node })
	if i < 0 {
		return "nothing asks for it"
	}
	b := t.Blockers[i]
	why := "held back: " + string(b.Rule)
	if b.Says != "" {
		why += " " + b.Says
	}
	if b.Limit > 0 {
		why += fmt.Sprintf(", %d of %d used", b.Used, b.Limit)
	}
	return why
}
