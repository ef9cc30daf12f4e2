package sets

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rollcall/events"
)

// Hold is a hold that stands: somebody outside said that no rollout step is to be
// taken of what it selects. It ends when log time reaches Until, or before with
// an event; who decides between two events compares Until with its own time.
//
// What a hold selects is looked up when it comes and goes, and when labels
// change, and is kept with the DaemonSets and cells that it holds: of whatever
// else happens a hold costs nothing.
type Hold struct {
	events.Hold
	Seq events.Seq // where it was placed

	match events.Matcher
}

// newHold prepares the selectors of a hold.
func newHold(h events.Hold, seq events.Seq) (*Hold, error) {
	m, err := h.Select.Compile()
	if err != nil {
		return nil, fmt.Errorf("hold %s/%s: %w", h.Owner, h.Name, err)
	}
	return &Hold{h, seq, m}, nil
}

// ID returns what names the hold: its owner and its name.
func (h *Hold) ID() string { return h.Owner + "/" + h.Name }

func (h *Hold) compare(o *Hold) int {
	return cmp.Or(cmp.Compare(h.Owner, o.Owner), cmp.Compare(h.Name, o.Name))
}

// Stands reports whether the hold has not ended by itself at a time.
func (h *Hold) Stands(now time.Time) bool { return now.Before(h.Until) }

// OfNodes reports whether the hold is about some nodes. Another is about all
// nodes of the DaemonSets that it selects.
func (h *Hold) OfNodes() bool { return h.Select.NodeLabels != "" || len(h.Select.Nodes) > 0 }

// Of reports whether the hold selects a DaemonSet, on all nodes or on some.
func (h *Hold) Of(d *DaemonSet) bool { return h.match.DaemonSet(d.Key, d.Object.Labels) }

// On reports whether the hold, if it is about some nodes, is about this one.
func (h *Hold) On(n *NodeView) bool {
	if h.Select.NodeLabels == "" {
		return slices.Contains(h.Select.Nodes, n.Name)
	}
	return (len(h.Select.Nodes) == 0 || slices.Contains(h.Select.Nodes, n.Name)) && h.match.Node(n.Name, n.Labels())
}

// Holds returns the holds that stand, by owner and name.
func (s *Sets) Holds() []*Hold { return s.holds }

// Hold returns the hold of that owner and name, if it stands; else nil.
func (s *Sets) Hold(owner, name string) *Hold {
	if i, found := s.holdAt(owner, name); found {
		return s.holds[i]
	}
	return nil
}

func (s *Sets) holdAt(owner, name string) (int, bool) {
	return slices.BinarySearchFunc(s.holds, &Hold{Hold: events.Hold{Owner: owner, Name: name}}, (*Hold).compare)
}

// Holds returns the holds on the whole DaemonSet, by owner and name.
func (d *DaemonSet) Holds() []*Hold { return d.holds }

// NodeHolds returns the holds on some nodes that select the DaemonSet, by owner
// and name, whether or not one of the nodes has a pod of it.
func (d *DaemonSet) NodeHolds() []*Hold { return d.nodeHolds }

// foldHold puts a hold in the place of one of the same owner and name.
func (s *Sets) foldHold(h *Hold) {
	i, found := s.holdAt(h.Owner, h.Name)
	if found {
		s.endHold(i, s.now)
	}
	if !h.Stands(s.now) {
		return
	}
	s.holds = slices.Insert(s.holds, i, h)
	if s.holdsEnd.IsZero() || h.Until.Before(s.holdsEnd) {
		s.holdsEnd = h.Until
	}
	for _, d := range s.order {
		if h.Of(d) {
			d.addHold(h)
			s.markHeld(d, h)
		}
	}
	s.cellsOf(h, func(c *Cell, n *NodeView) {
		if !h.On(n) {
			return
		}
		if h.outlasts(c.Hold) {
			c.Hold = h
		}
		s.recount(c)
	})
}

func (d *DaemonSet) addHold(h *Hold) {
	to := &d.holds
	if h.OfNodes() {
		to = &d.nodeHolds
	}
	i, _ := slices.BinarySearchFunc(*to, h, (*Hold).compare)
	*to = slices.Insert(slices.Clone(*to), i, h)
}

// markHeld notes that something happened to d if a hold is about all of it. One
// of nodes matters to the cells that it holds.
func (s *Sets) markHeld(d *DaemonSet, h *Hold) {
	if !h.OfNodes() {
		s.mark(d)
	}
}

// outlasts reports whether h ends after another, which may be nil; of two that
// end at once the first by name is said to.
func (h *Hold) outlasts(o *Hold) bool {
	return o == nil || h.Until.After(o.Until) || h.Until.Equal(o.Until) && h.compare(o) < 0
}

// cellsOf calls f with the cells of live DaemonSets that a hold of nodes selects,
// of all nodes that it may be about.
func (s *Sets) cellsOf(h *Hold, f func(*Cell, *NodeView)) {
	if !h.OfNodes() {
		return
	}
	on := func(n *Node) {
		for _, d := range s.order {
			if c := d.cells[CellKey{n.Name, n.UID}]; c != nil && slices.Contains(d.nodeHolds, h) {
				f(c, n.NodeView)
			}
		}
	}
	if len(h.Select.Nodes) == 0 {
		for n := range s.Nodes() {
			on(n)
		}
		return
	}
	for _, name := range h.Select.Nodes {
		if n := s.nodes[name]; n != nil {
			on(n)
		}
	}
}

// setHold gives a cell the hold that ends last of those on it, as of a time.
func (s *Sets) setHold(c *Cell, h *Hold, at time.Time) {
	c.Hold = h
	if h == nil && c.class.in(OldHeld) {
		c.owner.progressed(at)
	}
}

// endHold takes a hold away that ended at a time. The deadline of a rollout that
// it held counts anew from then.
func (s *Sets) endHold(i int, at time.Time) {
	h := s.holds[i]
	s.holds = slices.Delete(s.holds, i, i+1)
	s.cellsOf(h, func(c *Cell, n *NodeView) {
		if c.Hold == h {
			s.setHold(c, c.owner.holdOn(n, h), at)
		} else if !h.On(n) {
			return
		}
		s.recount(c)
	})
	for _, d := range s.order {
		if j := slices.Index(d.nodeHolds, h); j >= 0 {
			d.nodeHolds = slices.Delete(slices.Clone(d.nodeHolds), j, j+1)
		}
		if j := slices.Index(d.holds, h); j >= 0 {
			d.holds = slices.Delete(slices.Clone(d.holds), j, j+1)
			d.progressed(at)
			s.mark(d)
		}
	}
}

// endHolds takes the holds away whose time has come.
func (s *Sets) endHolds() {
	if s.holdsEnd.IsZero() || s.now.Before(s.holdsEnd) {
		return
	}
	s.holdsEnd = time.Time{}
	for i := 0; i < len(s.holds); {
		switch h := s.holds[i]; {
		case !h.Stands(s.now):
			s.endHold(i, h.Until)
			continue
		case s.holdsEnd.IsZero() || h.Until.Before(s.holdsEnd):
			s.holdsEnd = h.Until
		}
		i++
	}
}

// holdOn returns the hold that holds a node the longest, but for one; nil: none.
func (d *DaemonSet) holdOn(n *NodeView, but *Hold) (last *Hold) {
	for _, h := range d.nodeHolds {
		if h != but && h.outlasts(last) && h.On(n) {
			last = h
		}
	}
	return last
}

// HoldsOn returns the holds on some nodes that are about this one, by owner and
// name.
func (d *DaemonSet) HoldsOn(n *Node) (hs []*Hold) {
	for _, h := range d.nodeHolds {
		if h.On(n.NodeView) {
			hs = append(hs, h)
		}
	}
	return hs
}

// rehold looks up which holds select d, and reports whether those of nodes have
// changed. The deadline of a rollout counts anew from the end of what held it.
func (s *Sets) rehold(d *DaemonSet) (nodes bool) {
	var whole, some []*Hold
	for _, h := range s.holds {
		switch {
		case !h.Of(d):
		case h.OfNodes():
			some = append(some, h)
		default:
			whole = append(whole, h)
		}
	}
	nodes = !slices.Equal(some, d.nodeHolds)
	if len(whole) == 0 && len(d.holds) > 0 {
		d.progressed(s.now)
	}
	d.holds, d.nodeHolds = whole, some
	return nodes
}

// checkHolds compares what is kept of holds with a look at all of them.
func (s *Sets) checkHolds(d *DaemonSet, bad func(string, ...any)) {
	fresh := &DaemonSet{Key: d.Key, Object: d.Object}
	for _, h := range s.holds {
		if !h.Stands(s.now) || s.holdsEnd.After(h.Until) {
			bad("hold %s ended at %s", h.ID(), h.Until)
		}
		if h.Of(fresh) {
			fresh.addHold(h)
		}
	}
	if !slices.Equal(d.holds, fresh.holds) || !slices.Equal(d.nodeHolds, fresh.nodeHolds) {
		bad("%s: %d holds and %d of nodes, want %d and %d", d.Key, len(d.holds), len(d.nodeHolds), len(fresh.holds), len(fresh.nodeHolds))
	}
	for n := range s.Nodes() {
		c := d.cells[CellKey{n.Name, n.UID}]
		if want := fresh.holdOn(n.NodeView, nil); c != nil && c.Hold != want {
			bad("%s on %s: held by %v, want %v", d.Key, n.Name, c.Hold, want)
		}
	}
}

// KeptHold is a hold that stands, as a keyframe has it.
type KeptHold struct {
	events.Hold `json:",inline"`
	Seq         events.Seq `json:"seq"`
}

func (s *Sets) keepHolds() (ks []KeptHold) {
	for _, h := range s.holds {
		ks = append(ks, KeptHold{h.Hold, h.Seq})
	}
	return ks
}

// restoreHolds puts the holds on the DaemonSets and cells that were restored.
func (s *Sets) restoreHolds(k Kept) error {
	for _, x := range k.Holds {
		h, err := newHold(x.Hold, x.Seq)
		if err != nil {
			return err
		}
		if !h.Stands(s.now) {
			return fmt.Errorf("hold %s ended at %s", h.ID(), h.Until)
		}
		s.foldHold(h)
	}
	return nil
}
