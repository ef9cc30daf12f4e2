package controller

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/projector/sets"
)

// cascade does what a garbage collector does for a DaemonSet that is deleted
// or being deleted: background and foreground deletion take its pods and
// revisions with it, orphaning leaves them without an owner. When nothing is
// left a DaemonSet that waits for that goes too.
func (d *decider) cascade() Result {
	ds := d.ds
	if ds.Orphaning() {
		d.release(events.OwnerGone)
	} else {
		d.each(sets.WorkEvict, d.evict)
	}
	d.endCascade()
	return d.finish()
}

// endCascade is what a cascade does besides the pods.
func (d *decider) endCascade() {
	ds := d.ds
	for _, rev := range ds.Revisions() {
		if ds.Orphaning() {
			d.write(events.ControllerRevision, events.VerbUpdated, disowned(ds, rev), rev.Seq)
			continue
		}
		d.write(events.ControllerRevision, events.VerbDeleted, rev.Object, rev.Seq)
	}
	if !ds.Deleted && ds.Owned == 0 && ds.Creating == 0 && len(ds.Revisions()) == 0 && !d.waits() {
		last, verb := withoutCollectors(ds.Object), events.VerbDeleted
		if len(last.Finalizers) > 0 {
			verb = events.VerbUpdated // others are not done with it
		}
		if verb == events.VerbDeleted || len(last.Finalizers) < len(ds.Object.Finalizers) {
			d.write(events.DaemonSet, verb, last, ds.Seq)
		}
	}
}

// waits reports whether the DaemonSet waits for objects that it owns and does
// not look after itself.
func (d *decider) waits() bool {
	ref := d.ds.Ref()
	if d.ds.Orphaning() {
		return d.s.Owners().Dependents(ref) > 0
	}
	return slices.Contains(d.ds.Object.Finalizers, metav1.FinalizerDeleteDependents) && d.s.Owners().Blocked(ref)
}

// withoutCollectors returns a DaemonSet whose cascades are done.
func withoutCollectors(ds *appsv1.DaemonSet) *appsv1.DaemonSet {
	ds = ds.DeepCopy()
	ds.Finalizers = slices.DeleteFunc(ds.Finalizers, func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	return ds
}
