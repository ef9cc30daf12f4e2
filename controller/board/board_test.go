package board

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rollcall/controller/grid"
	"rollcall/controller/player"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/projector/sets"
)

var rewrite = flag.Bool("rewrite", false, "write the pictures of testdata anew")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// example is a rollout under way on so many nodes: a third is done, some nodes have
// other troubles, and the rest waits.
func example(nodes int) *Board {
	b := &Board{Seq: 4821, Time: noon.Add(90 * time.Second), NotReady: 1}
	x := &Standing{DaemonSet: "ds/kube-system/node-agent", Counts: sets.Counts{Desired: nodes - 1}, Causes: map[string]int{}, Names: map[string][]string{},
		Line: fmt.Sprintf("kube-system/node-agent  rev 7c9f1  %d/%d updated  4 unavailable (max 5)", nodes/3, nodes-1), Round: &Round{Start: Point{Seq: 4000, Time: noon}}}
	cells := make([]byte, 0, grid.CellBytes*nodes)
	for i := range nodes {
		b.Nodes = append(b.Nodes, fmt.Sprintf("node-%05d", i))
		phase, cause, revision := grid.Outdated, grid.None, byte(1)
		switch {
		case i < nodes/3:
			phase, revision = grid.Updated, 2
		case i == nodes/3:
			phase, cause, revision = grid.Failing, grid.Image, 2
		case i == nodes/3+1:
			phase, cause, revision = grid.Starting, grid.Slow, 2
		case i == nodes/2:
			phase, cause = grid.Lost, grid.NodeLost
		case i == nodes-2:
			phase, cause = grid.Stopping, grid.Replaced
		case i == nodes-1:
			phase, revision = grid.Unwanted, 0
		}
		cells = append(cells, byte(phase)|byte(cause)<<4, revision, 0, 0)
	}
	zone := grid.Label{Key: "topology.kubernetes.io/zone", Values: []string{"region-1c", "region-1a", ""}}
	for i := range nodes {
		zone.Of = append(zone.Of, []int{0, 1, 0, 2, 1, -1}[i%6])
	}
	b.Labels = []grid.Label{zone}
	x.Count(b.Nodes, cells)
	x.Round.reckon(x, b.Time)
	b.Sets = []*Standing{x}
	return b
}

// TestDraw: the pictures of clusters of three sizes on terminals of three widths.
func TestDraw(t *testing.T) {
	v := View{Mode: "LIVE", Cluster: "demo", Keys: true, Tail: []string{"#4820   12:01:29  pod/kube-system/node-agent-x  ready", "#4821   12:01:30  node/node-00025  NotReady"}}
	for _, nodes := range []int{50, 1000, 100_000} {
		b, all := example(nodes), ""
		for _, c := range []struct {
			width, height int
			group         string
		}{{40, 16, ""}, {80, 24, ""}, {80, 24, "zone"}, {40, 12, "zone"}, {200, 50, ""}} {
			v.Group = c.group
			lines := Draw(b, v, c.width, c.height, false)
			all += fmt.Sprintf("%d columns, %d lines\n%s\n\n", c.width, c.height, strings.Join(lines, "\n"))
		}
		file := filepath.Join("testdata", fmt.Sprintf("%d.txt", nodes))
		if *rewrite {
			if err := os.WriteFile(file, []byte(all), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if all != string(want) {
			t.Errorf("%d nodes: another picture than in %s (-rewrite writes it):\n%s", nodes, file, all)
		}
	}
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

// TestSizes: whatever the size, nothing is wider or higher, and colours add nothing
// but themselves.
func TestSizes(t *testing.T) {
	b := example(1000)
	two := *b
	two.Sets = append(two.Sets, b.Sets[0], b.Sets[0], b.Sets[0])
	for _, b := range []*Board{{}, b, &two} {
		for by := range kindsOfBy {
			for _, help := range []bool{false, true} {
				v := View{Mode: "AT", Cluster: "demo", Chosen: 2, By: by, Group: []string{"", "zone"}[by%2], Help: help, Keys: true, Tail: strings.Split(strings.Repeat("a change ", 9), " ")}
				for width := 0; width < 90; width += 1 + width/9 {
					for height := range 26 {
						plain, coloured := Draw(b, v, width, height, false), Draw(b, v, width, height, true)
						if len(plain) > height {
							t.Fatalf("%d lines of %d", len(plain), height)
						}
						for i, l := range plain {
							if utf8.RuneCountInString(l) > width || strings.Contains(l, "\x1b") {
								t.Fatalf("at %dx%d: %q", width, height, l)
							}
							if bare := strings.TrimRight(escape.ReplaceAllString(coloured[i], ""), " "); bare != l {
								t.Fatalf("at %dx%d: %q with colours, %q without", width, height, bare, l)
							}
						}
					}
				}
			}
		}
	}
}

// TestMarks: no mark says by its colour alone what it means, and of several nodes the
// worst is shown.
func TestMarks(t *testing.T) {
	if len(phaseMarks) != len(grid.Phases) || len(causeMarks) != len(grid.Causes) || len(badness) != len(grid.Phases) {
		t.Fatal("some phase or cause has no mark")
	}
	for _, marks := range [][]mark{phaseMarks, causeMarks} {
		seen := map[string]bool{}
		for _, m := range marks {
			if seen[m.sign] {
				t.Errorf("%q means two things", m.sign)
			}
			seen[m.sign] = true
		}
	}
	cells := []byte{byte(grid.Updated), 2, 0, 0, byte(grid.Failing) | byte(grid.Crash)<<4, 1, 0, 0, byte(grid.Unwanted), 0, 0, 0}
	for by, want := range map[By]string{ByPhase: "✕", ByCause: "✕", ByRevision: "1"} {
		if got := by.worst(cells); got.sign != want {
			t.Errorf("%d: %q, want %q", by, got.sign, want)
		}
	}
}

// TestPress: what keys do, and that they never choose what is not there.
func TestPress(t *testing.T) {
	v := View{}
	two := &Board{Sets: make([]*Standing, 2), Labels: []grid.Label{{Key: "pool"}, {Key: "topology.kubernetes.io/zone"}}}
	for _, k := range []player.Key{player.Down, player.Down, player.Down, player.Left, " ", "?"} {
		if v.Press(k, two) {
			t.Fatalf("%s leaves", k)
		}
	}
	if v.Chosen != 1 || v.By != ByRevision || !v.Paused || !v.Help {
		t.Errorf("%+v", v)
	}
	v.Press(player.Up, two) // ends the help, and no more
	if v.Chosen != 1 || v.Help {
		t.Errorf("%+v", v)
	}
	if v.Press(player.Down, &Board{}); v.Chosen != 0 {
		t.Errorf("DaemonSet %d of none is chosen", v.Chosen)
	}
	for _, want := range []string{"pool", "topology.kubernetes.io/zone", "", "pool"} {
		if v.Press("g", two); v.Group != want {
			t.Errorf("nodes are grouped by %q, want %q", v.Group, want)
		}
	}
	if !v.Press("q", two) || !v.Press(player.Interrupt, two) {
		t.Error("nothing leaves")
	}
}

// TestLook: a board that reads a state in parts has what the grid has that is made at
// once, and its rollouts begin and end where the log's do.
func TestLook(t *testing.T) {
	for _, name := range []string{"clean-roll", "stuck-node", "zone-outage"} {
		r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", name+".rollcall"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		s, l := projector.New(""), NewLook()
		for e, err := range r.Read(context.Background(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			l.Follow(projector.Fold(s, e))
		}
		b := l.Heads(s)
		b.Fill(func(do func(*projector.State)) { do(s) }, s.Time(), true)
		all, err := replay.RolloutsOf(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		last := all[len(all)-1]
		for _, x := range b.Sets {
			if x.key != last.DaemonSet {
				continue
			}
			if x.Round == nil || x.Round.Start != last.Start || last.Ending != replay.Superseded && x.Round.End != last.End {
				t.Errorf("%s: the rollout is %+v, want %+v", name, x.Round, last)
			}
			without := 0
			for _, n := range x.Causes {
				without += n
			}
			if without != x.Counts.Desired-x.Counts.Available {
				t.Errorf("%s: %d nodes have a cause, and of %d wanted %d are available", name, without, x.Counts.Desired, x.Counts.Available)
			}
		}
		if len(b.Sets) == 0 {
			t.Errorf("%s: no DaemonSet", name)
		}
	}
}

// TestParts: a grid of more nodes than one part has them all.
func TestParts(t *testing.T) {
	nodes, s := grid.NewNodes(), projector.New("")
	for i := range 2*part + 7 {
		nodes.See(fmt.Sprint(i), 0)
	}
	g, parts := grid.New(nodes, events.Key{}, time.Time{}), 0
	for from, more := 0, true; more; from += part {
		more = g.Part(s, from, part)
		parts++
	}
	if n := len(g.Cells()) / grid.CellBytes; parts != 3 || n != 2*part+7 {
		t.Errorf("%d cells in %d parts", n, parts)
	}
}
