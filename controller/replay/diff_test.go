package replay_test

import (
	"slices"
	"strings"
	"testing"

	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
)

// TestDiff: what a diff tells is what two states differ in.
func TestDiff(t *testing.T) {
	for _, seed := range seeds {
		h := open(t, simtest.Run(seed, simtest.Options{}).Log())
		last := h.Span().Last
		for _, r := range [][2]events.Seq{{0, last}, {last / 3, last / 2}, {last / 2, last}, {last - 1, last}, {last, last}} {
			d, err := h.Diff(t.Context(), r[0], r[1], replay.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := told(d), differs(t, h, r[0], r[1]); !slices.Equal(got, want) {
				t.Errorf("seed %d, #%d to #%d: diff tells\n%s\nand it is\n%s", seed, r[0], r[1], strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

func told(d *replay.Diff) (lines []string) {
	for _, g := range d.Groups {
		for _, c := range g.Changes {
			lines = append(lines, c.Is+" "+c.Object)
		}
	}
	slices.Sort(lines)
	return lines
}

// differs compares two states object by object.
func differs(t *testing.T, h *replay.History, from, to events.Seq) (lines []string) {
	t.Helper()
	objects := func(seq events.Seq) map[string]events.Object {
		s, err := h.At(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]events.Object{}
		for short, k := range map[string]events.Kind{"pod": events.Pod, "node": events.Node, "ds": events.DaemonSet, "controllerrevision": events.ControllerRevision} {
			for _, o := range s.List(k, "") {
				all[short+"/"+o.Key.String()] = o
			}
		}
		return all
	}
	old, new := objects(from), objects(to)
	for name, o := range old {
		if n, ok := new[name]; !ok || n.UID != o.UID {
			lines = append(lines, "deleted "+name)
		}
	}
	for name, n := range new {
		switch o, ok := old[name]; {
		case !ok || n.UID != o.UID:
			lines = append(lines, "created "+name)
		case string(n.Data) != string(o.Data):
			lines = append(lines, "changed "+name)
		}
	}
	slices.Sort(lines)
	return lines
}
