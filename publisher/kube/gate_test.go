package kube

import (
	"strings"
	"testing"
	"time"
)

// The gate is shut until every watch has been open for a while, whenever one ends, and
// while the log is behind; and what was decided before it opened is not done after.
func TestGate(t *testing.T) {
	var g Gate
	t0 := time.Unix(1000, 0)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	shut := func(name string, now float64, says string) {
		t.Helper()
		if why := g.Permit(1000, at(now)); g.Open(at(now)) || !strings.Contains(why, says) {
			t.Errorf("%s: open %v, and %q", name, g.Open(at(now)), why)
		}
	}
	shut("nothing is watched", 0, "not watched")
	g.Expect("pods")
	g.Expect("nodes")
	g.Opened("pods", 1, at(0))
	g.Look(at(10), 5)
	shut("nodes are not watched", 10, "not complete: nodes")
	g.Opened("nodes", 1, at(10))
	shut("nodes are just watched", 10.9, "not complete: nodes")
	shut("nobody has looked", 11, "just been opened")
	if !g.Look(at(11), 20) || !g.Open(at(11)) {
		t.Fatal("not opened")
	}
	if why := g.Permit(20, at(11)); why != "" {
		t.Errorf("not permitted: %s", why)
	}
	if why := g.Permit(19, at(11)); !strings.Contains(why, "before #20") {
		t.Errorf("decided before it was opened: %q", why)
	}
	g.Working(at(12))
	if g.Look(at(17), 21); !g.Open(at(17)) {
		t.Error("shut before the log is too far behind")
	}
	shut("the log takes nothing", 17.1, "behind")
	g.Working(time.Time{})
	g.Look(at(18), 22)
	g.Ended("pods", 1)
	shut("a watch has ended", 18, "not complete: pods")
	g.Opened("pods", 1, at(18)) // which was heard late
	g.Look(at(30), 23)
	shut("a watch that has ended is told as open", 30, "not complete: pods")
	g.Opened("pods", 2, at(30))
	if !g.Look(at(31), 24) || g.Permit(23, at(31)) == "" || g.Permit(24, at(31)) != "" {
		t.Error("not opened again from where the log was")
	}
	heard := func(now, want float64) {
		t.Helper()
		if g.Look(at(now), 25); !g.Heard().Equal(at(want)) {
			t.Errorf("at %v it is known until %v, want %v", now, g.Heard().Sub(t0).Seconds(), want)
		}
	}
	heard(34.9, 18) // what the watch says that was opened is not in order yet
	heard(35, 35)
	heard(36, 36)
	g.Ended("pods", 2)
	heard(50, 36)
}
