package simtest

import (
	"maps"
	"testing"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// counts sees that who counts divergences while the cluster is recorded, from some time on,
// finds those that are found afterwards. What a gap excuses of which the log tells later is
// counted by then.
func (k *own) counts(t *testing.T, h *replay.History) {
	t.Helper()
	last := h.Span().Last
	from := 1 + events.Seq(k.rng.Uint64N(uint64(last-1)))
	s := projector.New("")
	var live *replay.Divergences
	excused := false
	for e, err := range k.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if live != nil {
			live.Take(e)
			excused = excused || e.Told != nil && e.Told.Type == events.NoteRelisted
			continue
		}
		if e = projector.Fold(s, e); e.Seq == from {
			own, err := s.Copy()
			if err != nil {
				t.Fatal(err)
			}
			live = replay.NewDivergences(own)
		}
	}
	now := k.server.now
	d, err := h.Diverge(t.Context(), replay.ShadowQuery{}, from+1, replay.Moment{Point: replay.Point{Seq: last, Time: h.Span().To}, Now: now}, now)
	if err != nil {
		t.Fatal(err)
	}
	live.Pass(now)
	got := live.Counts() // who did something is known later, and by then more would be missing
	live.Pass(now.Add(time.Minute))
	for of, n := range live.Counts() {
		if of.Class == replay.Extra {
			got[of] = n
		}
	}
	want := map[replay.Divergence]int{}
	for _, a := range d.Divergences {
		want[replay.Divergence{Class: a.Class, Rule: a.Rule}]++
	}
	if d.TooNew > 0 { // which of it diverges is not known
		extra := func(of replay.Divergence, _ int) bool { return of.Class == replay.Extra }
		maps.DeleteFunc(got, extra)
		maps.DeleteFunc(want, extra)
	}
	if excused {
		for of, n := range got {
			got[of] = min(n, want[of])
		}
		maps.DeleteFunc(got, func(_ replay.Divergence, n int) bool { return n == 0 })
	}
	if !maps.Equal(got, want) {
		t.Errorf("seed %d: from #%d on %v were counted, and %v are there", k.seed, from+1, got, want)
	}
}
