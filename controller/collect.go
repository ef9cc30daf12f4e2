package controller

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/projector/sets"
)

// collect does what a garbage collector does for a DaemonSet that is deleted
// or being deleted: background and foreground deletion take its pods and
// revisions with it, orphaning leaves them without an owner. When nothing is
// left a DaemonSet that waits for that goes too.
func (r *decider) collect() Result {
	d := r.d
	if d.Orphaning() {
		r.release(events.OwnerGone)
	} else {
		r.each(sets.WorkEvict, r.evict)
	}
	for _, rev := range d.Revisions() {
		if d.Orphaning() {
			r.write(events.ControllerRevision, events.VerbUpdated, disowned(d, rev), rev.Seq)
			continue
		}
		r.write(events.ControllerRevision, events.VerbDeleted, rev.Object, rev.Seq)
	}
	if !d.Deleted && d.Owned == 0 && d.Creating == 0 && len(d.Revisions()) == 0 && !r.waits() {
		last, verb := withoutCollectors(d.Object), events.VerbDeleted
		if len(last.Finalizers) > 0 {
			verb = events.VerbUpdated // others are not done with it
		}
		if verb == events.VerbDeleted || len(last.Finalizers) < len(d.Object.Finalizers) {
			r.write(events.DaemonSet, verb, last, d.Seq)
		}
	}
	return r.finish()
}

// waits reports whether the DaemonSet waits for objects that it owns and does
// not look after itself.
func (r *decider) waits() bool {
	ref := r.d.Ref()
	if r.d.Orphaning() {
		return r.s.Owners().Dependents(ref) > 0
	}
	return slices.Contains(r.d.Object.Finalizers, metav1.FinalizerDeleteDependents) && r.s.Owners().Blocked(ref)
}

// withoutCollectors returns a DaemonSet whose cascades are done.
func withoutCollectors(ds *appsv1.DaemonSet) *appsv1.DaemonSet {
	ds = ds.DeepCopy()
	ds.Finalizers = slices.DeleteFunc(ds.Finalizers, func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	return ds
}
