package simtest

import (
	"context"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/memlog"
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
	return nil
}

// Log returns the log of a history.
func (r Result) Log() *memlog.Log { return r.history.log }
