package simtest

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"rollcall/events"
)

// unfinished says what is not yet as it should be when all is at rest, or nil
// (V1, T1 to T6).
func (h *History) unfinished() *Violation {
	b := h.model
	if len(b.open) > 0 {
		return violation("L5", h.last(), "command %s is not answered", b.open[0])
	}
	for _, k := range sortedKeys(b.named, events.Key.Compare) {
		if v := h.converged(b.named[k]); v != nil {
			return v
		}
	}
	for _, k := range b.keys {
		p := b.pods[k]
		if s := b.sets[p.owner]; s != nil && s.gone {
			return violation("V1", h.last(), "pod %s of a DaemonSet that is deleted", p.Name)
		}
	}
	for _, k := range sortedKeys(b.revs, events.Key.Compare) {
		r := b.revs[k]
		if s := b.sets[r.owner]; s != nil && s.gone {
			return violation("V1", h.last(), "revision %s of a DaemonSet that is deleted", k)
		}
	}
	return nil
}

// converged says what a DaemonSet still lacks.
func (h *History) converged(s *setModel) *Violation {
	bad := func(format string, args ...any) *Violation {
		return violation("V1", h.last(), s.key.Name+": "+format, args...)
	}
	if s.DeletionTimestamp != nil {
		return bad("it is still being deleted")
	}
	b := h.model
	all := b.situations(s)
	desired, misscheduled, updated, old, held := 0, 0, 0, 0, 0
	for _, x := range all {
		live := x.live()
		switch {
		case x.place == nowhere && x.owned == 0:
			// On a node that is gone nobody's pods are left to the pod garbage collector.
		case x.terminating+x.left+len(x.dead)+x.creating > 0:
			return bad("%d terminating, %d finished on %s (%s)", x.terminating+x.left, len(x.dead), x.node, x.uid)
		case len(live) > 1:
			return bad("%d pods on %s", len(live), x.node)
		case len(live) > 0 && live[0].owner != s.UID:
			return bad("pod %s is not adopted", live[0].Name)
		case x.place <= unwanted && len(live) > 0:
			return bad("pod %s on %s (%s), which is %s", live[0].Name, x.node, x.uid, x.place)
		case x.place == kept && len(live) > 0:
			misscheduled++
			if len(x.old) > 0 && mustRoll(s, all) {
				return bad("old pod %s on %s", x.old[0].Name, x.node)
			}
		case x.place == wanted && !s.anyAvailable(live, h.logTime().Add(h.ahead())):
			return bad("no available pod on %s", x.node)
		case x.place == wanted:
			desired++
			updated += len(x.fresh)
			old += len(x.old)
			if withheld(s.DaemonSet, b.nodes[x.node]) {
				held += len(x.old)
			}
		}
	}
	for _, k := range b.keys {
		if p := b.pods[k]; p.owner == s.UID && !selects(s.DaemonSet, p.Pod) {
			return bad("pod %s is not released", p.Name)
		}
	}
	if rolls(s.DaemonSet) && !paused(s.DaemonSet) && old-held > partition(s.DaemonSet, desired) {
		return bad("%d of %d pods are of an old revision", old, desired)
	}
	if b.keeps(s, all, h.logTime().Add(h.ahead())) {
		return bad("it is held")
	}
	if v := b.history(h, s); v != nil {
		return v
	}
	return h.status(s, appsv1.DaemonSetStatus{ObservedGeneration: s.Generation, DesiredNumberScheduled: int32(desired),
		CurrentNumberScheduled: int32(desired), NumberMisscheduled: int32(misscheduled), NumberReady: int32(desired),
		NumberAvailable: int32(desired), UpdatedNumberScheduled: int32(updated)})
}

// mustRoll reports whether old pods on nodes that only keep them have to go:
// with no desired node a percentage leaves no budget to take them (J12).
func mustRoll(s *setModel, all []*situation) bool {
	desired := 0
	for _, x := range all {
		if x.place == wanted {
			desired++
		}
	}
	unavailable, _ := budget(s.DaemonSet, desired)
	return rolls(s.DaemonSet) && !paused(s.DaemonSet) && (surging(s.DaemonSet) || unavailable > 0)
}

func (h *History) status(s *setModel, want appsv1.DaemonSetStatus) *Violation {
	is := s.Status
	is.Conditions, is.CollisionCount = nil, nil
	if !equality.Semantic.DeepEqual(is, want) {
		return violation("T6", h.last(), "%s: status %+v, want %+v", s.key.Name, is, want)
	}
	for _, c := range s.Status.Conditions {
		if (c.Type == "Stalled" || c.Type == "Held") != (c.Status == corev1.ConditionFalse) {
			return violation("T7", h.last(), "%s: condition %s is %s: %s", s.key.Name, c.Type, c.Status, c.Message)
		}
	}
	return nil
}

// history checks that a DaemonSet has one revision of its template, and one
// for every pod (R12).
func (b *model) history(h *History, s *setModel) *Violation {
	hashes := map[string]bool{}
	current := 0
	for _, k := range sortedKeys(b.revs, events.Key.Compare) {
		if r := b.revs[k]; r.owner == s.UID {
			hashes[r.hash] = true
			if r.template == s.template {
				current++
			}
		}
	}
	if current != 1 {
		return violation("R12", h.last(), "%s: %d revisions of the present template", s.key.Name, current)
	}
	for _, k := range b.keys {
		p := b.pods[k]
		if p.owner == s.UID && p.genuine && !hashes[p.revision()] {
			return violation("R12", h.last(), "%s: pod %s has revision %s, which is not kept", s.key.Name, p.Name, p.revision())
		}
	}
	return nil
}
