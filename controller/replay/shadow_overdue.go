package replay

import (
	"strconv"
	"time"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector/sets"
)

// waits returns since when something waits that is due since a time: not before a gap in
// the record, after which what was done meanwhile may be told of, or never.
func (w *shadow) waits(since time.Time) time.Time {
	if w.patient.After(since) {
		return w.patient
	}
	return since
}

// overdue finds what was not done for too long, and a status that stays wrong. Each has
// to be so still when skew has passed.
func (w *shadow) overdue(k events.Key, o *shadowed, now time.Time) {
	if !w.wants(k) {
		return
	}
	for i := range o.due {
		d := &o.due[i]
		limit := overdueAfter
		if d.reason == events.FailedPod || d.reason == events.Succeeded {
			limit = failedOverdue
		}
		if d.told || now.Sub(w.waits(d.since)) < limit || !w.evidence.refused[k].Before(d.since) {
			continue
		}
		if d.past.IsZero() {
			d.past = now
		}
		if now.Sub(d.past) < skew {
			continue
		}
		d.told = true
		a := &act{owner: k, Act: Act{Class: Undone, DaemonSet: k.String(), Do: d.do, Node: d.node, Seq: d.seq, Time: d.since, Due: string(d.reason), Lead: now.Sub(d.since)}}
		a.Object = d.object()
		if d.do == events.DeletePod && w.byNumber(k, w.s.Pod(events.Key{Namespace: k.Namespace, Name: d.name})) {
			a.Rule = ruleGeneration
		}
		w.acts = append(w.acts, a)
	}
	c := &o.counts
	if c.says == "" || c.told || c.unseen || now.Sub(w.waits(c.since)) < miscounted {
		return
	}
	if c.past.IsZero() {
		c.past = now
	}
	if now.Sub(c.past) < skew {
		return
	}
	c.told = true
	a := &act{owner: k, Act: Act{Class: Counted, DaemonSet: k.String(), Do: doCount, Object: "daemonset/" + k.Name, Seq: c.seq, Time: c.since, Due: c.says, Lead: now.Sub(c.since)}}
	for p := range w.s.Pods() {
		if w.byNumber(k, p) {
			a.Rule = ruleGeneration
		}
	}
	w.acts = append(w.acts, a)
}

// byNumber reports whether a pod of a DaemonSet is new to rollcall and old to a cluster's own
// controller, or the other way round, by nothing but the number of the template: to that
// controller it is new if it has that of the DaemonSet, even of another DaemonSet before
// it, and old if it has a later one.
func (w *shadow) byNumber(k events.Key, p *sets.Pod) bool {
	ds := w.s.DaemonSet(k)
	if ds == nil || p == nil || p.OwnerUID != ds.UID || ds.Current(p.Revision) {
		return false
	}
	n, err := strconv.ParseInt(ds.Object.Annotations[daemonpod.GenerationAnnotation], 10, 64)
	return err == nil && ds.IsNew(&p.PodView) != (p.Template == n)
}
