package grid_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"rollcall/controller/grid"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
)

// TestGrid: a grid that is told of every event of a recording is at each position the
// one that is made anew there, and its causes sum up to what is not available.
func TestGrid(t *testing.T) {
	files, err := filepath.Glob("../../testdata/recordings/*.rollcall")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { follow(t, file) })
	}
}

func follow(t *testing.T, file string) {
	r, err := recording.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	nodes := grid.NewNodes()
	var all []events.Event
	for e, err := range r.Read(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if ref := events.RefOf(e); ref.Kind == events.Node {
			nodes.See(ref.Key.Name, e.Seq)
		}
		all = append(all, e)
	}
	of := events.Key{Namespace: "kube-system", Name: "node-agent"}
	s := projector.New("")
	g, seen := grid.New(nodes, of, all[0].Stored), map[grid.Phase]bool{}
	g.Set(s)
	for _, e := range all {
		g.Before(s, e)
		e = projector.Fold(s, e)
		was := bytes.Clone(g.Cells())
		changed := g.After(s, e)
		fresh := grid.New(nodes, of, all[0].Stored)
		fresh.Set(s)
		if !bytes.Equal(g.Cells(), fresh.Cells()) {
			t.Fatalf("#%d %s: the grid that was told is\n%x, and made anew\n%x", e.Seq, e.Type, g.Cells(), fresh.Cells())
		}
		for i := range len(was) / grid.CellBytes {
			cell := func(b []byte) []byte { return b[grid.CellBytes*i:][:grid.CellBytes] }
			if differs := !bytes.Equal(cell(was), cell(g.Cells())); differs != contains(changed, i) {
				t.Fatalf("#%d: cell %d differs: %v, and that was told: %v", e.Seq, i, differs, !differs)
			}
		}
		without := 0
		for i := 0; i < len(g.Cells()); i += grid.CellBytes {
			seen[grid.Phase(g.Cells()[i]&15)] = true
			if g.Cells()[i]>>4 != 0 {
				without++
			}
		}
		if d := s.DaemonSet(of); d != nil && without != d.Counts.Desired-d.Counts.Available {
			t.Fatalf("#%d: %d nodes have a cause, and of %d wanted %d are available", e.Seq, without, d.Counts.Desired, d.Counts.Available)
		}
	}
	for _, p := range []grid.Phase{grid.Missing, grid.Starting, grid.Updated, grid.Outdated, grid.Stopping} {
		if !seen[p] {
			t.Errorf("no cell was ever %q", grid.Phases[p])
		}
	}
}

func contains(all []int, i int) bool {
	for _, x := range all {
		if x == i {
			return true
		}
	}
	return false
}
