package sets

import (
	"time"

	"rollcall/events"
	"rollcall/projector/owners"
)

// Owners returns the graph of owners, which is not to be changed.
func (s *Sets) Owners() *owners.Graph { return s.owners }

// Terminating reports whether a namespace is being deleted: nothing more is
// made in it.
func (s *Sets) Terminating(namespace string) bool {
	ns := s.owners.Get(events.Namespace, events.Key{Name: namespace})
	return ns != nil && ns.Deleting
}

// graphPod keeps a pod in the graph of owners, unless a DaemonSet alone looks
// after it.
func (s *Sets) graphPod(p *Pod) {
	was := p.graphed
	if p.graphed = !p.plain(); p.graphed {
		s.owners.Put(s.owners.View(p.Ref(), p.Object.Data))
	} else if was {
		s.owners.Drop(events.Pod, p.Key)
	}
}

// plain reports whether a DaemonSet alone looks after a pod.
func (p *Pod) plain() bool { return p.ds != nil && p.Owners == 1 && !p.Cascades }

// graphNode keeps a node that has owners or finalizers in the graph of owners.
// All that others want to know of a node is whether it is there.
func (s *Sets) graphNode(n *Node, fresh bool) {
	ref := events.Ref{Kind: events.Node, Key: events.Key{Name: n.Name}, UID: n.UID}
	switch {
	case n.odd:
		s.owners.Put(s.owners.View(ref, n.Object.Data))
	case !s.owners.Drop(ref.Kind, ref.Key) && fresh:
		s.owners.ReviewDependents(ref)
	}
	if fresh {
		s.reviewPods(n.Name)
	}
}

// dropNodeOwner looks again at what a deleted node leaves behind.
func (s *Sets) dropNodeOwner(ref events.Ref) {
	if !s.owners.Drop(ref.Kind, ref.Key) {
		s.owners.ReviewDependents(ref)
	}
	s.reviewPods(ref.Key.Name)
}

func (s *Sets) reviewPods(node string) {
	for _, p := range s.onNode[node] {
		if p.graphed {
			s.owners.Review(events.Pod, p.Key)
		}
	}
}

// cluster is a state as the graph of owners asks it.
type cluster struct{ s *Sets }

// Time implements owners.Cluster.
func (c cluster) Time() time.Time { return c.s.now }

// Exists implements owners.Cluster.
func (c cluster) Exists(r events.Ref) bool {
	if r.Kind == events.Node {
		n := c.s.nodes[r.Key.Name]
		return n != nil && n.UID == r.UID
	}
	p := c.s.pods[r.Key]
	return p != nil && p.UID == r.UID
}

// Managed implements owners.Cluster.
func (c cluster) Managed(o *owners.Object) (managed, deleting bool) {
	var d *DaemonSet
	switch o.Kind {
	case events.Pod:
		if p := c.s.pods[o.Key]; p != nil {
			d = p.ds
		}
	case events.ControllerRevision:
		for _, x := range o.Owners {
			if set := c.s.byUID[x.UID]; x.Controls && x.Known && set != nil && set.Key == x.Key {
				d = set
				break
			}
		}
	}
	return d != nil, d != nil && d.Deleting()
}

// Node implements owners.Cluster. A pod that is not bound can run on another
// node of the same name. One that finalizers hold has to be told only once that
// its node is absent.
func (c cluster) Node(o *owners.Object) (absent, unknown bool) {
	p := c.s.pods[o.Key]
	if o.Kind != events.Pod || p == nil {
		return false, false
	}
	n := c.s.nodes[p.Node]
	if p.NodeUID == "" {
		unknown = n == nil && p.Bound
		absent = unknown && o.Deleting
	} else {
		absent = n == nil || p.Bound && n.UID != p.NodeUID
	}
	return absent && !(o.Deleting && len(o.Finalizers) > 0), unknown
}

// Unburdened implements owners.Cluster.
func (c cluster) Unburdened(owner events.Ref) {
	if d := c.s.sets[owner.Key]; owner.Kind == events.DaemonSet && d != nil && d.Deleting() {
		c.s.mark(d)
	}
}
