package replay

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/projector"
)

// TestSilence: what is due and not done is counted also if nothing happens any more, when
// it is overdue, and once. Who asks afterwards is told the same, as far as was heard.
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
	h, late := w.ask(), last.Add(overdueAfter+2*skew)
	for name, c := range map[string]struct {
		now, heard time.Time
		missing    int
	}{
		"by now":                   {late, late, 1},
		"a moment too early":       {late.Add(-time.Millisecond), late, 0},
		"nobody records":           {late, time.Time{}, 0},
		"it was not heard so long": {late, late.Add(-time.Millisecond), 0},
		"an event":                 {last, late, 0},
	} {
		at := endOf(h)
		at.Now = c.now
		d, err := h.Diverge(t.Context(), ShadowQuery{}, 1, at, c.heard)
		if err != nil {
			t.Fatal(err)
		}
		missing := slices.DeleteFunc(slices.Clone(d.Divergences), func(a Act) bool { return a.Class != Undone })
		if len(missing) != c.missing || d.Silence != max(0, min(c.now.Sub(last), c.heard.Sub(last))) {
			t.Errorf("%s: %d are missing after %s, want %d", name, len(missing), d.Silence, c.missing)
		}
	}
}

// TestShadowCountsLate: a status that a node has left untrue counts otherwise only when the
// cluster's controller has had cause to count anew.
func TestShadowCountsLate(t *testing.T) {
	w := recordOf(t)
	w.passes(time.Minute)
	w.gone(events.Node, events.Key{Name: "b"}, "node-b")
	w.passes(2 * time.Minute)
	if d := w.diverge(ShadowQuery{}); len(d.Divergences) > 0 {
		t.Fatalf("nobody has told it: %+v", d.Divergences)
	}
	w.ends("agent-b", "DeletionByPodGC")
	w.over("agent-b")
	w.passes(20 * time.Second)
	if d := w.diverge(ShadowQuery{}); len(d.Divergences) > 0 {
		t.Fatalf("too early: %+v", d.Divergences)
	}
	w.passes(2 * time.Minute)
	if d := w.diverge(ShadowQuery{}); len(d.Divergences) != 1 || d.Divergences[0].Class != Counted {
		t.Errorf("%+v", d.Divergences)
	}
}

// TestShadowCountsNodeBack: a node that is back with its pod is nothing to the cluster's
// controller, whose status goes on to count without it until something else happens.
func TestShadowCountsNodeBack(t *testing.T) {
	w := recordOf(t)
	w.passes(time.Minute)
	w.gone(events.Node, events.Key{Name: "b"}, "node-b")
	w.ds = w.ds.DeepCopy()
	w.ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 1, CurrentNumberScheduled: 1, UpdatedNumberScheduled: 1, NumberReady: 1, NumberAvailable: 1}
	w.seen(events.DaemonSet, w.ds)
	w.is(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "b", UID: "node-b-2"}}, events.Event{})
	w.passes(2 * time.Minute)
	if d := w.diverge(ShadowQuery{}); len(d.Divergences) > 0 {
		t.Fatalf("nobody has told it: %+v", d.Divergences)
	}
	w.ready("agent-a")
	w.passes(2 * time.Minute)
	if d := w.diverge(ShadowQuery{}); len(d.Divergences) != 1 || d.Divergences[0].Class != Counted {
		t.Errorf("%+v", d.Divergences)
	}
}
