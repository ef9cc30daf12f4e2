package simtest

import (
	"rollcall/events"
)

// regain forgets the cells that a rollout took and that have an available pod
// again, by the time of the event that comes next, or that want none: the
// budget is for nodes that want a pod, and one that stopped wanting it and
// wants one again lacks it as a node does that joins. For the same reason a
// command is forgotten that takes a pod from a node which wants none meanwhile.
func (b *model) regain(e entry) {
	for _, k := range sortedKeys(b.named, events.Key.Compare) {
		s := b.named[k]
		if len(s.taken) == 0 {
			continue
		}
		for _, x := range b.situations(s) {
			if x.place != wanted || s.anyAvailable(x.live(), later(e.time, b.planned)) {
				delete(s.taken, x.cellKey)
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

// promise notes which commands of a plan take an available pod for a rollout;
// b is at the basis. A pod that was not available then may be by the time its
// deletion lands: the controller could not know. What is available by the
// plan's clock, which may be ahead of the log's, has been regained.
func (b *model) promise(r recorded, s *setModel) {
	for _, x := range b.situations(s) {
		if s.anyAvailable(x.live(), r.plan.Basis.Now) {
			delete(s.taken, x.cellKey)
		}
	}
	for i, c := range r.plan.Commands {
		p := b.pods[c.Key]
		if c.Do == events.DeletePod && c.Reason == events.Rollout && p != nil && s.available(p, r.plan.Basis.Now) {
			b.takes[events.Cause{Seq: r.seq, Index: i}] = r.plan.Rollout.MaxUnavailable
		}
	}
}

// landing is the deletion of an available pod, for a rollout, that an event
// tells of.
type landing struct {
	set   *setModel
	cell  cellKey
	limit int
}

// lands reports whether the event carries out such a deletion; b is before it.
func (b *model) lands(e entry) *landing {
	c := b.cmds[e.Cause]
	if e.Cause.IsZero() || c == nil || c.limit == 0 {
		return nil
	}
	s := b.sets[c.set]
	p := b.pods[events.RefOf(e.Event).Key]
	if s == nil || p == nil || p.DeletionTimestamp != nil || !s.available(p, later(e.time, b.planned)) {
		return nil
	}
	return &landing{s, p.cell, c.limit}
}

// took checks, at the position where a deletion landed, that no more wanted
// nodes are without an available pod because of the rollout than the budgets
// allowed by which they were taken (R2). What else made nodes unavailable
// does not count.
func (b *model) took(l *landing, e entry) *Violation {
	if l == nil || l.set.gone {
		return nil
	}
	if l.set.taken == nil {
		l.set.taken = map[cellKey]int{}
	}
	l.set.taken[l.cell] = l.limit
	n, limit := 0, 0
	for _, x := range b.situations(l.set) {
		was, taken := l.set.taken[x.cellKey]
		if !taken || x.place != wanted || l.set.anyAvailable(x.live(), later(e.time, b.planned)) {
			continue
		}
		if l.set.Annotations[events.AnnotationUnreachable] != "" && !nodeReady(b.nodes[x.node]) {
			continue
		}
		n++
		limit = max(limit, was)
	}
	if n > limit {
		return violation("R2", e.Seq, "%s took the last available pod of %d nodes, at most %d may be without", l.set.key, n, limit)
	}
	return nil
}
