package replay

import (
	"context"
	"slices"

	"rollcall/controller/invariant"
	"rollcall/events"
	"rollcall/projector"
)

// Ledger is what receipts of the rollouts of a log are made from.
type Ledger struct {
	Rollouts []*Rollout // in the order in which they began, with those that had begun before

	of     *History
	judged *judged
}

// Ledger reads the log up to its end once for its rollouts, and against every
// invariant.
func (h *History) Ledger(ctx context.Context) (*Ledger, error) {
	all, err := invariant.Named()
	if err != nil {
		return nil, err
	}
	s, err := h.Begin(ctx)
	if err != nil {
		return nil, err
	}
	r := new(rollouts)
	r.begin(s)
	b := &entries{chronicle{rollouts: r}, judged{Properties: Properties{Invariants: all}, w: invariant.NewWatch(all)}}
	_, err = h.over(ctx, s, h.span.Last, b, b.later)
	return &Ledger{slices.Concat(r.earlier, r.all), h, &b.judged}, err
}

// entries is what a ledger is made from.
type entries struct {
	chronicle
	judged
}

func (b *entries) later(s *projector.State) passer {
	return &entries{*laterChronicle(s).(*chronicle), *b.judged.later(s).(*judged)}
}

// visit implements passer.
func (b *entries) visit() Visit {
	judge, follow := b.judged.visit(), b.chronicle.visit().After
	return Visit{Before: judge.Before, After: func(s *projector.State, e events.Event) error {
		if err := judge.After(s, e); err != nil {
			return err
		}
		return follow(s, e)
	}}
}

// goOn implements passer.
func (b *entries) goOn(next passer) bool {
	n := next.(*entries)
	return b.judged.goOn(&n.judged) && b.chronicle.goOn(&n.chronicle)
}
