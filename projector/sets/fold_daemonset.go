package sets

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

func viewRevision(k events.Key, r *appsv1.ControllerRevision, seq events.Seq) *Revision {
	v := &Revision{Key: k, Object: r, Seq: seq, Number: r.Revision, Hash: r.Labels[daemonpod.RevisionLabel]}
	if v.Hash == "" {
		v.Hash = r.Name // M02
	}
	if c := metav1.GetControllerOf(r); c != nil {
		v.OwnerUID = c.UID
	}
	if t, err := daemonpod.Template(r.Data.Raw); err == nil {
		v.Digest = daemonpod.Digest(t)
	}
	return v
}

func (s *Sets) foldDaemonSet(e events.Event, o events.Object) error {
	d := s.sets[o.Key]
	ds, raw, err := decodeDaemonSet(o, d)
	if err != nil {
		return err
	}
	if d != nil && d.UID != o.UID {
		s.dropDaemonSet(o.Key) // made again without a deletion in between
		d = nil
	}
	if d == nil {
		d = s.newDaemonSet(o.Key, o.UID)
		s.addDaemonSet(d, ds, e.Seq, raw)
		d.pause(e, s.now)
		return nil
	}
	digest, selector, deleting := d.Digest, d.Selector, d.Deleting()
	was := d.Object.Labels
	cells, places := d.load(ds, e.Seq, raw)
	d.pause(e, s.now)
	if len(s.holds) > 0 && !maps.Equal(was, ds.Labels) && s.rehold(d) {
		cells, places = true, true
	}
	if cells {
		if d.Digest != digest {
			d.setRevisions(d.revisions)
			d.Progress = s.now
			d.Refusals = 0
			for _, c := range d.AllCells() {
				c.Failures = 0 // another template is another chance (G04)
			}
		}
		s.placeAll(d, places)
	}
	if !sameSelector(selector, d.Selector) || deleting != d.Deleting() {
		s.reclaim(d)
	}
	s.mark(d)
	return nil
}

// pause notes who paused d, if the event did. The deadline of a rollout counts
// anew from the end of a pause.
func (d *DaemonSet) pause(e events.Event, now time.Time) {
	switch paused := d.IsPaused(); {
	case !paused:
		if !d.Paused.At.IsZero() {
			d.progressed(now)
		}
		d.Paused = Pause{}
	case d.Paused.At.IsZero():
		d.Paused = Pause{e.Stored, cmp.Or(e.Actor, e.Manager, e.Source)}
	}
}

// parts are the bytes of a DaemonSet.
type parts struct{ whole, meta, spec, status []byte }

// decodeDaemonSet decodes a DaemonSet and returns its bytes. Most facts change
// the status alone: what has the bytes that are known is shared.
func decodeDaemonSet(o events.Object, known *DaemonSet) (*appsv1.DaemonSet, parts, error) {
	p := parts{o.Data, wire.Field(o.Data, "metadata"), wire.Field(o.Data, "spec"), wire.Field(o.Data, "status")}
	ds := &appsv1.DaemonSet{}
	if known == nil || known.Object == nil || !bytes.Equal(p.spec, known.raw.spec) || !bytes.Equal(p.meta, known.raw.meta) || p.status == nil {
		err := o.Decode(ds)
		return ds, p, err
	}
	if err := wire.Unmarshal(p.status, &ds.Status); err != nil {
		return nil, parts{}, fmt.Errorf("decode status of %s %s: %w", o.Kind, o.Key, err)
	}
	ds.TypeMeta, ds.ObjectMeta, ds.Spec = known.Object.TypeMeta, known.Object.ObjectMeta, known.Object.Spec
	return ds, p, nil
}

func sameSelector(a, b interface{ String() string }) bool {
	text := func(s interface{ String() string }) string {
		if s == nil {
			return ""
		}
		return s.String()
	}
	return text(a) == text(b)
}

func (s *Sets) addDaemonSet(d *DaemonSet, ds *appsv1.DaemonSet, seq events.Seq, raw parts) {
	s.sets[d.Key] = d
	s.byUID[d.UID] = d
	i, _ := slices.BinarySearchFunc(s.order, d.Key, func(x *DaemonSet, k events.Key) int { return x.Key.Compare(k) })
	s.order = slices.Insert(s.order, i, d)
	d.load(ds, seq, raw)
	d.Progress = s.now
	s.rehold(d)
	s.revise(d)
	s.placeAll(d, true)
	s.reclaim(d)
	s.mark(d)
}

// placeAll recounts every cell of d, and places every node first where asked to.
func (s *Sets) placeAll(d *DaemonSet, places bool) {
	if places {
		for n := range s.Nodes() {
			s.place(d, n.NodeView)
		}
	}
	s.recountAll(d)
}

// reclaim looks again at which pods d claims: its own and ownerless ones.
func (s *Sets) reclaim(d *DaemonSet) {
	for p := range s.PodsOf(d.Key.Namespace, d.UID) {
		s.claim(p)
	}
	for p := range s.PodsOf(d.Key.Namespace, "") {
		s.claim(p)
	}
}

// dropDaemonSet keeps a deleted DaemonSet until its last pod and revision are
// gone.
func (s *Sets) dropDaemonSet(k events.Key) {
	d := s.sets[k]
	if d == nil {
		return
	}
	delete(s.sets, k)
	s.order = slices.DeleteFunc(s.order, func(x *DaemonSet) bool { return x == d })
	d.Deleted = true
	s.deletedSets[k] = append(s.deletedSets[k], d)
	s.reclaim(d)
	s.recountAll(d) // also cells without pods want nothing any more
	s.forgetSet(d)
}

// forgetSet keeps no more than a tombstone of a deleted DaemonSet that has no
// pod or revision left and will get no pod from a command that is still under
// way.
func (s *Sets) forgetSet(d *DaemonSet) {
	if !d.Deleted || d.Owned > 0 || d.pending > 0 || len(d.revisions) > 0 {
		return
	}
	delete(s.byUID, d.UID)
	stone := s.newDaemonSet(d.Key, d.UID)
	stone.load(d.Object, d.Seq, d.raw)
	stone.Deleted = true
	s.tombstones[d.UID] = stone
	s.deletedSets[d.Key] = slices.DeleteFunc(s.deletedSets[d.Key], func(x *DaemonSet) bool { return x == d })
	if len(s.deletedSets[d.Key]) == 0 {
		delete(s.deletedSets, d.Key)
	}
	s.mark(d)
}

// owner returns the DaemonSet with this uid and name, or nil. One of which there
// is a tombstone is among the deleted ones again: a fact that was told late says
// that something of it is left.
func (s *Sets) owner(uid types.UID, k events.Key) *DaemonSet {
	if d := s.byUID[uid]; d != nil && d.Key == k {
		return d
	}
	d := s.tombstones[uid]
	if d == nil || d.Key != k {
		return nil
	}
	delete(s.tombstones, uid)
	s.adviseOf(d)
	s.byUID[uid] = d
	s.deletedSets[d.Key] = append(s.deletedSets[d.Key], d)
	s.mark(d)
	return d
}

func (s *Sets) foldNode(i *table.Item) {
	var was *NodeView
	if old := s.nodes[i.Key.Name]; old != nil {
		was = old.NodeView
	}
	v := viewNode(i.Ref, i.Data, was)
	if was != nil && was.UID != v.UID {
		s.dropNode(i.Key.Name)
		was = nil
	}
	n := &Node{v, i}
	s.nodes[v.Name] = n
	s.graphNode(n, was == nil)
	if was != nil && v.placesAs(was) && v.Ready == was.Ready {
		return // neither labels, taints nor readiness changed (S02)
	}
	for _, d := range s.order {
		if s.place(d, v) || len(d.nodeHolds) > 1 || d.holdsUp(v) { // of the holds the cell names one
			s.mark(d)
		}
	}
	if was == nil {
		s.settleStrays(v)
	}
}

// holdsUp reports whether a rollout of d waits on a node for a pod to get ready or to
// go: what the status says of that depends on whether the node is ready.
func (d *DaemonSet) holdsUp(n *NodeView) bool {
	c := d.cells[CellKey{n.Name, n.UID}]
	return c != nil && (c.In(Unready) || c.In(Waiting))
}

// place decides for one node and reports whether the verdict changed. The
// cell is recounted if it did.
func (s *Sets) place(d *DaemonSet, n *NodeView) bool {
	v, _ := Place(n, d.placement)
	if d.Settings.Suspended {
		v = Evict
	}
	k := CellKey{n.Name, n.UID}
	c := d.cells[k]
	lost, withheld := d.looksAt(n)
	hold := d.holdOn(n, nil)
	if c == nil && v == Evict || c != nil && c.Place == v && c.Lost == lost && c.Withheld == withheld && c.Hold == hold {
		return false
	}
	if c == nil {
		c = d.addCell(k)
	}
	c.Place, c.Lost, c.Withheld = v, lost, withheld
	s.setHold(c, hold, s.now)
	s.recount(c)
	return true
}

// looksAt says what matters of a node besides placement, where a setting asks
// for it: whether it is not ready, and whether it is no canary.
func (d *DaemonSet) looksAt(n *NodeView) (lost, withheld bool) {
	return d.Settings.Lost > 0 && !n.Ready, d.canary != nil && !d.canary.Matches(n.Labels())
}

func (d *DaemonSet) addCell(k CellKey) *Cell {
	c := &Cell{CellKey: k, owner: d}
	d.cells[k] = c
	return c
}

// podsOn returns the pods of a node by name.
func (s *Sets) podsOn(node string) []*Pod {
	ps := slices.Clone(s.onNode[node])
	slices.SortFunc(ps, func(a, b *Pod) int { return a.Key.Compare(b.Key) })
	return ps
}

// settleStrays gives pods that were pinned or bound to a name before the log
// told of the node to the node.
func (s *Sets) settleStrays(n *NodeView) {
	for _, p := range s.podsOn(n.Name) {
		if p.NodeUID == "" {
			s.claim(p)
		}
	}
}

func (s *Sets) dropNode(name string) {
	n := s.nodes[name]
	if n == nil {
		return
	}
	delete(s.nodes, name)
	k := CellKey{n.Name, n.UID}
	for _, d := range s.order {
		s.abandon(d, k)
	}
	for _, key := range sortedKeys(s.deletedSets, events.Key.Compare) {
		for _, d := range s.deletedSets[key] {
			s.abandon(d, k)
		}
	}
	for _, p := range s.podsOn(name) {
		s.claim(p)
	}
	s.dropNodeOwner(events.Ref{Kind: events.Node, Key: events.Key{Name: name}, UID: n.UID})
}

// abandon marks a cell's node as gone: no kubelet will confirm a deletion there.
func (s *Sets) abandon(d *DaemonSet, k CellKey) {
	if c := d.cells[k]; c != nil {
		c.Place, c.Hold = Gone, nil
		s.recount(c)
	}
}
