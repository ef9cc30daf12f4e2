package sets

import (
	"errors"
	"fmt"
	"slices"

	"rollcall/events"
	"rollcall/projector/owners"
	"rollcall/projector/table"
)

// Check builds everything that the fold keeps up to date incrementally again
// from the objects, and returns the differences. Nil says that every cell,
// counter and set of work is what a fresh look at the whole state gives.
func (s *Sets) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for p := range s.Pods() {
		s.checkPod(p, bad)
	}
	for _, k := range sortedKeys(s.revisions, events.Key.Compare) {
		if r := s.revisions[k]; !slices.Contains(s.revOwned[owned{k.Namespace, r.OwnerUID}], r) {
			bad("revision %s: not found by its owner", k)
		}
	}
	for _, o := range sortedKeys(s.owned, owned.compare) {
		for p := range s.PodsOf(o.namespace, o.owner) {
			if at, ok := p.claimedBy(); !ok || at != o || s.pods[p.Key] != p {
				bad("pod %s: found by an owner that it has not", p.Key)
			}
		}
	}
	pending := 0
	for _, d := range s.AllSets() {
		if s.byUID[d.UID] != d {
			bad("%s: not found by uid", d.Key)
		}
		under := len(d.releasing) + s.checkDaemonSet(d, bad)
		if d.pending != under {
			bad("%s: %d commands under way, cells say %d", d.Key, d.pending, under)
		}
		pending += under
	}
	if pending != len(s.pending) {
		bad("%d commands pending, cells say %d", len(s.pending), pending)
	}
	s.checkOwners(bad)
	return errors.Join(errs...)
}

func (s *Sets) finds(o owned, p *Pod) bool {
	ps := s.owned[o]
	return p.place < len(ps) && ps[p.place] == p
}

func (s *Sets) checkPod(p *Pod, bad func(string, ...any)) {
	d, release := s.claimant(p)
	var want *Cell
	node := s.nodes[p.Node]
	finishing := p.Terminal() && p.Deleting && node != nil && node.UID == p.NodeUID
	if d != nil && !release && (p.Node != "" || p.OwnerUID == "" || d.Deleting()) && !finishing {
		want = d.cells[CellKey{p.Node, p.NodeUID}]
		if want == nil {
			bad("pod %s: no cell", p.Key)
		}
	}
	if p.cell != want {
		bad("pod %s: in the wrong cell", p.Key)
	}
	if want != nil && !slices.Contains(want.Pods, p) {
		bad("pod %s: its cell does not hold it", p.Key)
	}
	if node != nil && p.NodeUID == "" && p.cell != nil {
		bad("pod %s: node %s is known and its uid not taken over", p.Key, p.Node)
	}
	if d != nil {
		if _, in := d.release.Get(p); in != release {
			bad("pod %s: release %v, want %v", p.Key, in, release)
		}
	}
	if o, ok := p.claimedBy(); ok && !s.finds(o, p) {
		bad("pod %s: not found by its owner", p.Key)
	}
}

func (s *Sets) checkDaemonSet(d *DaemonSet, bad func(string, ...any)) (pending int) {
	fresh := newDaemonSet(d.Key, d.UID)
	creating := 0
	for _, c := range d.AllCells() {
		pending += len(c.Pending)
		for _, p := range c.Pending {
			if p.Do == events.CreatePod {
				creating++
			}
		}
		if !slices.IsSortedFunc(c.Pods, podOrder) {
			bad("%s on %s: pods out of order", d.Key, c.Node)
		}
		want := d.classify(c, s.now)
		if c.class != want {
			bad("%s on %s: class %+v, want %+v", d.Key, c.Node, c.class, want)
		}
		for w := range workSets {
			if _, in := d.work[w].Get(c); in != want.in(w) {
				bad("%s on %s: in set %d %v, want %v", d.Key, c.Node, w, in, want.in(w))
			}
		}
		if _, in := d.maturing.Get(c); in != c.maturing || in != want.availableFrom.After(s.now) {
			bad("%s on %s: maturing %v", d.Key, c.Node, in)
		}
		copied := *c
		copied.class, copied.maturing = class{}, false
		fresh.count(&copied, want, s.now)
	}
	s.checkCounts(d, fresh, creating, bad)
	if !d.Deleted {
		s.checkHolds(d, bad)
		s.checkPlaces(d, bad)
	}
	return pending
}

func (s *Sets) checkCounts(d, fresh *DaemonSet, creating int, bad func(string, ...any)) {
	if d.Counts != fresh.Counts {
		bad("%s: counts %+v, want %+v", d.Key, d.Counts, fresh.Counts)
	}
	for w := range workSets {
		if d.work[w].Len() != fresh.work[w].Len() {
			bad("%s: set %d holds %d cells, want %d", d.Key, w, d.work[w].Len(), fresh.work[w].Len())
		}
	}
	if d.maturing.Len() != fresh.maturing.Len() {
		bad("%s: %d cells maturing, want %d", d.Key, d.maturing.Len(), fresh.maturing.Len())
	}
	if d.Creating != creating {
		bad("%s: %d creates under way, want %d", d.Key, d.Creating, creating)
	}
	owned, byRevision := 0, map[string]int{}
	for p := range s.Pods() {
		if p.Daemon && p.OwnerUID == d.UID && p.ownerKey() == d.Key {
			owned++
			byRevision[p.Revision]++
		}
	}
	if d.Owned != owned {
		bad("%s: owns %d pods, want %d", d.Key, d.Owned, owned)
	}
	if fmt.Sprint(d.Pods) != fmt.Sprint(byRevision) { // fmt prints maps in key order
		bad("%s: pods by revision %v, want %v", d.Key, d.Pods, byRevision)
	}
}

func (s *Sets) checkPlaces(d *DaemonSet, bad func(string, ...any)) {
	known := map[CellKey]bool{}
	for n := range s.Nodes() {
		want, _ := Place(n.NodeView, NewPlacement(&d.Spec.Template.Spec))
		if d.Settings.Suspended {
			want = Evict
		}
		k := CellKey{n.Name, n.UID}
		known[k] = true
		if c := d.cells[k]; c == nil && want != Evict || c != nil && c.Place != want {
			bad("%s on %s: placed wrongly, want %v", d.Key, n.Name, want)
		}
		if lost, withheld := d.looksAt(n.NodeView); d.cells[k] != nil && (d.cells[k].Lost != lost || d.cells[k].Withheld != withheld) {
			c := d.cells[k]
			bad("%s on %s: lost %v, withheld %v", d.Key, n.Name, c.Lost, c.Withheld)
		}
	}
	for _, c := range d.AllCells() {
		if !known[c.CellKey] && (c.Place != Gone || c.empty()) {
			bad("%s on %s: cell of a node that is gone", d.Key, c.Node)
		}
	}
}

// graphObjects returns what the graph of owners has to have, of the objects as
// they are.
func (s *Sets) graphObjects() (all []*owners.Object) {
	for _, k := range s.objects.Kinds() {
		if k == events.Node || k == events.Pod {
			continue
		}
		rows, _ := s.objects.Of(k).Snapshot()
		rows.Scan(func(i *table.Item) bool {
			all = append(all, s.owners.View(i.Ref, i.Data))
			return true
		})
	}
	for n := range s.Nodes() {
		if o := s.owners.View(n.Object.Ref, n.Object.Data); len(o.Owners) > 0 || len(o.Finalizers) > 0 {
			all = append(all, o)
		}
	}
	for p := range s.Pods() {
		if p.graphed {
			all = append(all, s.owners.View(p.Ref(), p.Object.Data))
		}
	}
	return all
}

// checkOwners compares the graph of owners with one of the objects as they are.
func (s *Sets) checkOwners(bad func(string, ...any)) {
	for p := range s.Pods() {
		if p.plain() == p.graphed {
			bad("pod %s: plain %v, in the graph of owners %v", p.Key, p.plain(), p.graphed)
		}
	}
	s.owners.Check(s.graphObjects(), bad)
}
