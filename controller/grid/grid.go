// Package grid says how a DaemonSet stands on each node, in a few bytes a node: for
// whoever draws thousands of them, and draws them again after each event.
//
// A cell is a function of the state of the log at a position. A Grid that is told
// of every event has the same cells as one that is made anew there.
package grid

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// CellBytes is how many bytes a cell has: the phase in the low half of the first
// and the cause in its high half, the number of the pod's revision (255: or more),
// and in two bytes since when the pod is ready, as Since reads it.
const CellBytes = 4

// Phase is what there is of a DaemonSet on a node.
type Phase byte

// The phases of a cell.
const (
	Absent   Phase = iota // there is no such node
	Unwanted              // the node is not to have a pod, and has none
	Missing               // it is to have a pod, and has none
	Starting              // its pod is not ready yet
	Ready                 // its pod is ready, for less than minReadySeconds
	Updated               // its pod is available, and of the present template
	Outdated              // its pod is available, and of an older template
	Stopping              // its pod is on its way out
	Failing               // its pod has failed, or cannot start
	Lost                  // the node is not ready, nor is a pod on it
)

// Phases are their names, for people.
var Phases = []string{"no node", "not wanted", "missing", "starting", "ready, not yet available", "updated", "old revision", "stopping", "failing", "node lost"}

// Cause is why a node that is to have a pod has none that is available.
type Cause byte

// The causes, in the order in which they are asked for.
const (
	None     Cause = iota // it has one, or is to have none
	NodeLost              // the node is not ready
	Image                 // an image cannot be pulled
	Crash                 // the pod fails
	Replaced              // the old pod is on its way out
	Slow                  // the new pod is not ready yet
	Young                 // the pod is ready, and has to stay so for minReadySeconds
	NoPod                 // no pod is there
)

// Causes are their names, for people.
var Causes = []string{"available", "node lost", "image cannot be pulled", "pod fails", "old pod stops", "new pod starts", "ready, not yet available", "no pod"}

// Grid is how a DaemonSet stands on all nodes. It is told of every event of its log
// by Before and After, or set anew by Set.
type Grid struct {
	of    events.Key
	nodes *Nodes
	epoch time.Time // that Since counts from
	cells []byte

	shape  shape
	young  map[int]bool // cells whose pod becomes available by time alone
	ripe   time.Time    // when the first of them does
	todo   []string     // nodes that the event under way is about
	all    bool         // it may be about all
	survey sets.Survey
}

// shape is what every cell depends on.
type shape struct {
	uid        string
	generation int64
	digest     string
	revision   string
	number     int64 // of that revision, which a rollback raises
	revisions  int   // that are there
	deleted    bool
}

// New returns the grid of a DaemonSet on the nodes of a log, which counts time from
// an epoch. It has no cells until it is Set.
func New(nodes *Nodes, of events.Key, epoch time.Time) *Grid {
	return &Grid{of: of, nodes: nodes, epoch: epoch, young: map[int]bool{}}
}

// Cells returns the cells by the place of their node. They change with the next
// event.
func (g *Grid) Cells() []byte { return g.cells }

// Set makes all cells anew from a state.
func (g *Grid) Set(s *projector.State) {
	g.cells = make([]byte, CellBytes*g.nodes.Upto(s.Seq()))
	g.shape = shapeOf(s.DaemonSet(g.of))
	clear(g.young)
	g.ripe = time.Time{}
	for i := range len(g.cells) / CellBytes {
		g.look(s, i)
	}
}

// Part makes so many cells anew, from a place on, and reports whether there are more:
// for who looks at a state that others wait for meanwhile.
func (g *Grid) Part(s *projector.State, from, n int) (more bool) {
	all := g.nodes.Upto(s.Seq())
	g.cells = append(g.cells, make([]byte, max(0, CellBytes*all-len(g.cells)))...)
	for i := from; i < min(from+n, all); i++ {
		g.look(s, i)
	}
	return from+n < all
}

// Before is told of an event before it is folded.
func (g *Grid) Before(s *projector.State, e events.Event) {
	g.todo, g.all = g.todo[:0], false
	g.about(s, e)
}

// After is told of the event when it is folded, and returns the places of the cells
// that differ, in order.
func (g *Grid) After(s *projector.State, e events.Event) (changed []int) {
	g.about(s, e)
	n := g.nodes.Upto(s.Seq())
	for len(g.cells) < CellBytes*n {
		g.cells = append(g.cells, make([]byte, CellBytes)...)
	}
	if now := shapeOf(s.DaemonSet(g.of)); now != g.shape {
		g.shape, g.all = now, true
	}
	ripe := !g.ripe.IsZero() && !s.Time().Before(g.ripe)
	if ripe {
		g.ripe = time.Time{}
	}
	for _, i := range g.places(n, ripe) {
		if g.look(s, i) {
			changed = append(changed, i)
		}
	}
	return changed
}

// places returns which of n cells are to be looked at, in order.
func (g *Grid) places(n int, ripe bool) (all []int) {
	if g.all {
		for i := range n {
			all = append(all, i)
		}
		return all
	}
	for _, name := range g.todo {
		if i, ok := g.nodes.index[name]; ok && i < n {
			all = append(all, i)
		}
	}
	if ripe {
		all = slices.AppendSeq(all, maps.Keys(g.young))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// about notes which nodes an event is about. It is asked before and after the fold:
// a pod may come to a node, or have gone from one.
func (g *Grid) about(s *projector.State, e events.Event) {
	switch b := e.Body.(type) {
	case *events.Plan:
		if b.Owner.Key == g.of {
			for _, c := range b.Commands {
				g.todo = append(g.todo, c.Node)
			}
		}
	case events.Outcome:
		g.all = true // it says by its command alone what it is about
	default:
		switch r := events.RefOf(e); r.Kind {
		case events.Node:
			g.todo = append(g.todo, r.Key.Name)
		case events.Pod:
			if p := s.Pod(r.Key); p != nil {
				g.todo = append(g.todo, p.Node)
			}
		}
	}
}

func shapeOf(d *sets.DaemonSet) (x shape) {
	if d == nil {
		return x
	}
	x = shape{uid: string(d.UID), generation: d.Object.Generation, digest: d.Digest, revisions: len(d.Revisions()), deleted: d.Deleted}
	if r := d.CurrentRevision(); r != nil {
		x.revision, x.number = r.Hash, r.Number
	}
	return x
}

// look makes one cell anew, and reports whether it differs.
func (g *Grid) look(s *projector.State, place int) bool {
	delete(g.young, place)
	c := g.cellOf(s, place)
	at := g.cells[CellBytes*place:][:CellBytes]
	if [CellBytes]byte(at) == c {
		return false
	}
	copy(at, c[:])
	return true
}

func (g *Grid) cellOf(s *projector.State, place int) (c [CellBytes]byte) {
	n := s.Node(g.nodes.names[place])
	if n == nil {
		return c
	}
	c[0] = byte(Unwanted)
	d := s.DaemonSet(g.of)
	if d == nil {
		return c
	}
	x := d.Cell(sets.CellKey{Node: n.Name, NodeUID: n.UID})
	if x == nil {
		return c
	}
	v := view{Cell: x, ready: n.Ready, pods: d.Survey(x, &g.survey), now: s.Time()}
	v.choose(d)
	if p := v.pod; p != nil {
		c[1] = revisionOf(d, p.Revision)
		binary.LittleEndian.PutUint16(c[2:], sinceOf(g.epoch, p.ReadySince))
	}
	phase, cause := v.stands(d)
	if v.from.After(v.now) {
		g.young[place] = true
		if g.ripe.IsZero() || v.from.Before(g.ripe) {
			g.ripe = v.from
		}
	}
	c[0] = byte(phase) | byte(cause)<<4
	return c
}

// revisionOf returns the number of a revision as a cell has it; 0: it is not known.
func revisionOf(d *sets.DaemonSet, hash string) byte {
	for _, r := range d.Revisions() {
		if r.Hash == hash {
			return byte(min(r.Number, 255))
		}
	}
	return 0
}

// farMark is where a time in a cell goes on in minutes.
const farMark = 1 << 15

// sinceOf returns a time in two bytes: seconds after the epoch and one, and from
// farMark on minutes. 0 is no time.
func sinceOf(epoch, t time.Time) uint16 {
	if t.IsZero() {
		return 0
	}
	if d := int64(max(0, t.Sub(epoch)) / time.Second); d+1 < farMark {
		return uint16(d + 1)
	}
	return uint16(min(farMark+int64(t.Sub(epoch)/time.Minute), 1<<16-1))
}
