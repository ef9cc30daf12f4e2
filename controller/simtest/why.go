package simtest

import (
	"context"

	"rollcall/controller/replay"
	"rollcall/events"
)

// explain checks that whatever happened to a pod comes from outside: from a
// user, or from a kubelet that has told something.
func (h *History) explain() *Violation {
	of, err := replay.Open(context.Background(), h.log, nil)
	if err != nil {
		return violation("WHY", h.last(), "open: %v", err)
	}
	cs, err := of.Causes(context.Background(), h.last())
	if err != nil {
		return violation("WHY", h.last(), "causes: %v", err)
	}
	for _, e := range h.entries {
		if events.RefOf(e.Event).Kind != events.Pod || e.forged {
			continue
		}
		chain := cs.Chain(replay.Link{Seq: e.Seq, Index: -1})
		end := chain[len(chain)-1]
		if _, command := end.Command(); command {
			return violation("WHY", e.Seq, "comes from %v, which comes from nothing: %v", end, chain)
		}
		if x := h.entries[end.Seq-1]; x.forged || x.Source != "user" && x.Source != "kubelet" {
			return violation("WHY", e.Seq, "comes from #%d of %s, which comes from nothing: %v", end.Seq, x.Source, chain)
		}
	}
	if h.checkAll {
		return h.explainAgain(cs)
	}
	return nil
}

// explainAgain finds the reason of every command a second time, without the help
// of the fold: it looks at every cell after every event.
func (h *History) explainAgain(cs *replay.Causes) *Violation {
	b := newBeginnings()
	for _, e := range h.entries {
		if p, ok := e.Body.(*events.Plan); ok && p.Owner != (events.Ref{}) {
			for i, c := range p.Commands {
				if c.Do == events.ReleasePod {
					continue
				}
				want, got := b.at(p, c), cs.Of(replay.Link{Seq: e.Seq, Index: i}).Seq
				if want != got {
					return violation("WHY", e.Seq, "command %d, %s: the reason began at #%d, and is said to have begun at #%d", i, c, want, got)
				}
			}
		}
		b.take(e.read)
	}
	return nil
}
