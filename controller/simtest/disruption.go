package simtest

import "rollcall/events"

// A disruption is the deletion of an available pod for a rollout. The model
// keeps, for each DaemonSet, the cells that disruptions left without an
// available pod, and the budget by which each was chosen.

// forgetRecovered forgets disrupted cells that have an available pod again, by
// the time of the event that comes next, or whose node wants none: the budget
// is for nodes that want a pod, and a node that stopped wanting one and wants
// one again is like a node that joins. For the same reason a disruption that is
// planned for such a node does not count any more.
func (b *model) forgetRecovered(e entry) {
	for _, k := range sortedKeys(b.named, events.Key.Compare) {
		s := b.named[k]
		if len(s.disrupted) == 0 {
			continue
		}
		for _, x := range b.situations(s) {
			if x.place != wanted || s.anyAvailable(x.live(), later(e.time, b.planned)) {
				delete(s.disrupted, x.cellKey)
			}
		}
	}
	for _, c := range b.open {
		if s := b.sets[c.set]; c.limit > 0 && !b.wants(s, cellKey{c.Node, c.NodeUID}) {
			c.limit = 0
		}
	}
}

// wants reports whether a DaemonSet wants a pod on a node.
func (b *model) wants(s *setModel, k cellKey) bool {
	n := b.nodes[k.node]
	return s != nil && n != nil && n.UID == k.uid && placeOf(s.DaemonSet, n) == wanted
}

// noteDisruptions notes which commands of a plan are disruptions; b is at the
// plan's basis. A pod that was not available at the basis may be available when
// its deletion comes into the log: the controller could not know. A cell that is
// available by the plan's clock, which may be ahead of the log's, has recovered.
func (b *model) noteDisruptions(r recorded, s *setModel) {
	for _, x := range b.situations(s) {
		if s.anyAvailable(x.live(), r.plan.Basis.Now) {
			delete(s.disrupted, x.cellKey)
		}
	}
	for i, c := range r.plan.Commands {
		p := b.pods[c.Key]
		if c.Do == events.DeletePod && c.Reason == events.Rollout && p != nil && s.available(p, r.plan.Basis.Now) {
			b.disruptions[events.Cause{Seq: r.seq, Index: i}] = r.plan.Rollout.MaxUnavailable
		}
	}
}

// disruption is one that an event of the log carries out.
type disruption struct {
	set   *setModel
	cell  cellKey
	limit int
}

// disrupts returns the disruption that an event carries out, or nil; b is at the
// position before the event.
func (b *model) disrupts(e entry) *disruption {
	c := b.cmds[e.Cause]
	if e.Cause.IsZero() || c == nil || c.limit == 0 {
		return nil
	}
	s := b.sets[c.set]
	p := b.pods[events.RefOf(e.Event).Key]
	if s == nil || p == nil || p.DeletionTimestamp != nil || !s.available(p, later(e.time, b.planned)) {
		return nil
	}
	return &disruption{s, p.cell, c.limit}
}

// checkDisruption checks, at the position of a disruption, that no more wanted
// nodes are without an available pod because of the rollout than the budgets
// allowed by which they were chosen (R2). What else made nodes unavailable does
// not count.
func (b *model) checkDisruption(d *disruption, e entry) *Violation {
	if d == nil || d.set.gone {
		return nil
	}
	if d.set.disrupted == nil {
		d.set.disrupted = map[cellKey]int{}
	}
	d.set.disrupted[d.cell] = d.limit
	n, limit := 0, 0
	for _, x := range b.situations(d.set) {
		was, disrupted := d.set.disrupted[x.cellKey]
		if !disrupted || x.place != wanted || d.set.anyAvailable(x.live(), later(e.time, b.planned)) {
			continue
		}
		if d.set.Annotations[events.AnnotationUnreachable] != "" && !nodeReady(b.nodes[x.node]) {
			continue
		}
		n++
		limit = max(limit, was)
	}
	if n > limit {
		return violation("R2", e.Seq, "%s took the last available pod of %d nodes, at most %d may be without", d.set.key, n, limit)
	}
	return nil
}
