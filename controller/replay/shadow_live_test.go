package replay

import (
	"testing"
	"time"

	"rollcall/projector"
)

// TestSilence: what is due and not done is counted also if nothing happens any more, when
// it is overdue, and once.
func TestSilence(t *testing.T) {
	w := recordOf(t)
	w.ends("agent-a", "")
	w.over("agent-a")
	live, last := NewDivergences(projector.New("")), time.Time{}
	for e, err := range w.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		live.Take(e)
		last = e.Stored
	}
	live.Pass(last.Add(overdueAfter / 2))
	if n := live.Counts()[Divergence{Class: Undone}]; n != 0 {
		t.Errorf("%d are missing too early", n)
	}
	for s := range 30 {
		live.Pass(last.Add(overdueAfter + time.Duration(s)*time.Second))
	}
	if n := live.Counts()[Divergence{Class: Undone}]; n != 1 {
		t.Errorf("%d are missing, want 1: %v", n, live.Counts())
	}
}
