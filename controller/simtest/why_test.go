package simtest

import (
	"context"
	"fmt"
	"testing"

	"rollcall/controller/replay"
	"rollcall/events"
)

func TestWhyTemp(t *testing.T) {
	bad := map[string]int{}
	n := 0
	for seed := *first; seed < *first+uint64(*histories); seed++ {
		r := run(seed)
		h, err := replay.Open(context.Background(), r.history.log, nil)
		if err != nil {
			t.Fatal(err)
		}
		cs, err := h.Causes(context.Background(), h.Span().Last)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.history.entries {
			if events.RefOf(e.Event).Kind != events.Pod || e.forged {
				continue
			}
			chain := cs.Chain(replay.Link{Seq: e.Seq, Index: -1})
			end := chain[len(chain)-1]
			var what string
			if _, ok := end.Command(); ok {
				p := r.history.entries[end.Seq-1].Body.(*events.Plan)
				what = fmt.Sprintf("command %s %s", p.Commands[end.Index].Do, p.Commands[end.Index].Reason)
			} else {
				x := r.history.entries[end.Seq-1]
				what = x.Source + " " + string(x.Type)
				if x.forged { what = "forged" }
			}
			n++
			bad[what]++
			if what != "kubelet pod.updated" && (len(what)<4 || what[:4] != "user") && bad[what] < 3 {
				t.Logf("seed %d: #%d %s ends at %v: %s", seed, e.Seq, e.Type, end, what)
			}
		}
	}
	for k, v := range bad { t.Logf("%d %s", v, k) }
}
