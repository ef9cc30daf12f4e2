package sets

import (
	"slices"
	"time"

	"rollcall/events"
	"rollcall/projector/table"
)

// resetAfter is how long a pod has to have been ready for a later failure not
// to count on top of earlier ones.
const resetAfter = 10 * time.Minute

func (s *Sets) foldPod(e events.Event, i *table.Item) error {
	v, err := s.view(e, i.Object)
	if err != nil {
		return err
	}
	p := s.pods[v.Key]
	if p != nil && p.UID != v.UID {
		s.dropPod(v.Key)
		p = nil
	}
	fresh := p == nil
	found := !fresh && p.foundAs(&v)
	if fresh {
		p = &Pod{}
		s.pods[v.Key] = p
	} else {
		if p.stays(&v) {
			p.ReadySince = s.readySince(p, &v, e, false)
			p.PodView, p.Item, p.Denials = v, i, 0
			s.recount(p.cell)
			s.graphPod(p)
			return nil
		}
		if !found {
			s.unindex(p)
		} else if p.ds != nil {
			s.mark(p.ds)
		}
		if v.Terminal() && !p.Terminal() && p.cell != nil && !p.ReadySince.IsZero() && s.now.Sub(p.ReadySince) >= resetAfter {
			p.cell.Failures = 0
		}
	}
	p.ReadySince = s.readySince(p, &v, e, fresh)
	if !fresh && p.Node != v.Node {
		p.NodeUID, p.Astray = "", time.Time{}
	}
	p.PodView, p.Item, p.Denials = v, i, 0
	if ref, ok := s.pending[e.Cause]; ok && ref.do == events.CreatePod { // the uid is the cluster's to choose
		p.NodeUID = ref.cell.NodeUID
		s.compare(p, ref)
	}
	if !found {
		s.index(p)
	}
	s.claim(p)
	s.graphPod(p)
	if fresh && !p.graphed {
		s.owners.ReviewDependents(p.Ref())
	}
	return nil
}

// stays reports whether a new version of p belongs where p is: most facts tell
// of readiness alone, and need no look at who claims the pod.
func (p *Pod) stays(v *PodView) bool {
	return p.cell != nil && p.OwnerUID != "" && p.OwnerUID == v.OwnerUID && p.Daemon == v.Daemon && p.Node == v.Node &&
		p.Bound == v.Bound && p.Deleting == v.Deleting && !p.Terminal() && !v.Terminal() &&
		p.Created.Equal(v.Created) && string(p.labels) == string(v.labels)
}

// foundAs reports whether a new version of p is found where p is.
func (p *Pod) foundAs(v *PodView) bool {
	return p.Node == v.Node && p.OwnerUID == v.OwnerUID && p.OwnerName == v.OwnerName && p.Daemon == v.Daemon && p.Revision == v.Revision
}

// readySince returns since when a pod is ready, in log time: when the log told
// it. The kubelet's own clock is believed only for a pod that is first heard of
// when it is ready already, and never beyond log time, so that no skew shifts
// availability (L05, L14). Of a real cluster it is believed too if it is hardly
// before log time: everybody else there counts by it, and it has no fractions of
// a second.
func (s *Sets) readySince(p *Pod, v *PodView, e events.Event, fresh bool) time.Time {
	switch {
	case !v.Ready:
		return time.Time{}
	case !fresh && p.Ready && v.ReadyFrom.Equal(p.ReadyFrom):
		return p.ReadySince
	case v.ReadyFrom.IsZero() || !v.ReadyFrom.Before(e.Stored):
		return s.now
	case fresh || s.charter != nil && e.Stored.Sub(v.ReadyFrom) <= hardly:
		return s.now.Add(-e.Stored.Sub(v.ReadyFrom))
	}
	return s.now
}

// hardly is how much the kubelet's time may be before log time: what it leaves out of a
// second, and what a watch takes.
const hardly = 2 * time.Second

// index and unindex keep what is found by owner and by node.
func (s *Sets) index(p *Pod) {
	if p.Node != "" {
		s.onNode[p.Node] = append(s.onNode[p.Node], p)
	}
	if o, ok := p.claimedBy(); ok {
		p.place = len(s.owned[o])
		s.owned[o] = append(s.owned[o], p)
	}
	s.own(p)
}

// claimedBy returns where a pod is found by the DaemonSet that is its
// controller, or that may adopt it. The pods of other controllers are of no
// interest to any DaemonSet.
func (p *Pod) claimedBy() (o owned, ok bool) {
	return owned{p.Key.Namespace, p.OwnerUID}, p.Daemon || p.OwnerUID == ""
}

func (s *Sets) own(p *Pod) {
	if p.ds != nil || !p.Daemon {
		return
	}
	if d := s.owner(p.OwnerUID, p.ownerKey()); d != nil {
		p.ds = d
		d.Pods[p.Revision]++
		d.Owned++
		if p.graphed {
			s.graphPod(p)
		}
	}
}

func (s *Sets) unindex(p *Pod) {
	if p.Node != "" {
		left := slices.DeleteFunc(s.onNode[p.Node], func(q *Pod) bool { return q == p })
		s.onNode[p.Node] = left
		if len(left) == 0 {
			delete(s.onNode, p.Node)
		}
	}
	if o, ok := p.claimedBy(); ok {
		s.disown(o, p)
	}
	if d := p.ds; d != nil {
		p.ds = nil
		if d.Pods[p.Revision]--; d.Pods[p.Revision] == 0 {
			delete(d.Pods, p.Revision)
		}
		d.Owned--
		d.release.Delete(p)
		s.mark(d)
	}
}

// disown takes p from among the pods of its owner: the last of them takes its place.
func (s *Sets) disown(o owned, p *Pod) {
	ps := s.owned[o]
	last := len(ps) - 1
	ps[last].place, ps[p.place] = p.place, ps[last]
	ps[last] = nil
	if s.owned[o] = ps[:last]; last == 0 {
		delete(s.owned, o)
	}
}

// claimant returns the DaemonSet that p belongs to, or that would adopt it.
// release: it owns p, but its selector does not match any more (E04).
func (s *Sets) claimant(p *Pod) (d *DaemonSet, release bool) {
	if p.OwnerUID != "" {
		d = s.byUID[p.OwnerUID]
		if d == nil || !p.Daemon || d.Key != p.ownerKey() {
			return nil, false
		}
		if d.Deleting() {
			return d, d.Orphaning()
		}
		return d, d.Selector != nil && !d.claims(&p.PodView)
	}
	if p.Deleting {
		return nil, false
	}
	for _, d := range s.order {
		if d.Key.Namespace == p.Key.Namespace && !d.Deleting() && d.claims(&p.PodView) {
			return d, false
		}
	}
	return nil, false
}

// claim puts p into the cell where it belongs now, and recounts what changed.
func (s *Sets) claim(p *Pod) {
	s.own(p)
	// Whoever claims it, and whenever: a later node of that name is another.
	switch n := s.nodes[p.Node]; {
	case n != nil && (p.NodeUID == "" || !s.Collects()):
		p.NodeUID = n.UID
	case n == nil && !s.Collects():
		p.NodeUID = "" // a node that comes back under that name has it still
	}
	s.stray(p)
	if p.graphed {
		s.owners.Review(events.Pod, p.Key)
	}
	d, release := s.claimant(p)
	var to *Cell
	if d != nil {
		d.release.Delete(p)
		switch {
		case release:
			d.release.Set(p)
			s.mark(d)
		case p.Node != "" || p.OwnerUID == "" || d.Deleting():
			to = s.cellFor(d, p)
		}
	}
	if from := p.cell; from != nil && from != to {
		from.remove(p)
		p.cell = nil
		s.recount(from)
	}
	if to == nil {
		return
	}
	if p.cell == nil {
		to.Pods = append(to.Pods, p)
		p.cell = to
	}
	if len(to.Pods) > 1 {
		slices.SortFunc(to.Pods, podOrder)
	}
	s.recount(to)
}

// cellFor returns the cell of the node that p was made for, which is the node
// of that name when the log first told of p. A terminal pod that is being
// deleted is in none, unless its node is gone and nobody will finish it (F03).
func (s *Sets) cellFor(d *DaemonSet, p *Pod) *Cell {
	k := CellKey{p.Node, p.NodeUID}
	if n := s.nodes[p.Node]; p.Terminal() && p.Deleting && n != nil && n.UID == p.NodeUID {
		s.mark(d)
		return nil
	}
	return s.cellAt(d, k)
}

func (s *Sets) cellAt(d *DaemonSet, k CellKey) *Cell {
	c := d.cells[k]
	if c == nil {
		c = d.addCell(k)
		if n := s.nodes[k.Node]; n != nil && n.UID == k.NodeUID {
			c.Place = Evict
			c.Lost, c.Withheld = d.looksAt(n.NodeView)
			c.Hold = d.holdOn(n.NodeView, nil)
		}
	}
	return c
}

func (s *Sets) dropPod(k events.Key) {
	p := s.pods[k]
	if p == nil {
		return
	}
	delete(s.pods, k)
	d := p.ds
	s.unindex(p)
	if c := p.cell; c != nil {
		c.remove(p)
		p.cell = nil
		s.recount(c)
	}
	if !p.graphed || !s.owners.Drop(events.Pod, p.Key) {
		s.owners.ReviewDependents(p.Ref())
	}
	if d != nil {
		s.forgetSet(d)
	}
}
