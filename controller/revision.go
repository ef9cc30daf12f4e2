package controller

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector/sets"
)

// revise sees to it that the present template has a revision, and that this
// revision has the highest number. It reports whether it has one already; if
// not, nothing else is decided until the log tells of it.
func (r *decider) revise() bool {
	d := r.d
	r.disown()
	adopted := r.adoptRevisions()
	for _, rev := range d.Revisions() {
		if rev.Object.Labels[daemonpod.RevisionLabel] == "" && r.selects(rev) {
			o := rev.Object.DeepCopy()
			metav1.SetMetaDataLabel(&o.ObjectMeta, daemonpod.RevisionLabel, rev.Hash) // M02
			r.write(events.ControllerRevision, events.VerbUpdated, o, rev.Seq)
			return false
		}
	}
	next, waits := int64(1), false
	for _, revs := range [2][]*sets.Revision{d.Revisions(), adopted} {
		for _, rev := range revs {
			if rev.Digest != d.Digest {
				next = max(next, rev.Number+1)
			}
		}
	}
	for _, rev := range adopted {
		waits = waits || rev.Digest == d.Digest
	}
	cur := d.CurrentRevision()
	switch {
	case cur == nil && !waits:
		r.newRevision(next)
		return false
	case cur == nil:
		return false
	case cur.Number < next:
		o := cur.Object.DeepCopy()
		o.Revision = next
		r.write(events.ControllerRevision, events.VerbUpdated, o, cur.Seq)
	}
	return true
}

// disown takes the DaemonSet off revisions that its selector no longer matches (E13).
func (r *decider) disown() {
	for _, rev := range r.d.Revisions() {
		if !r.selects(rev) {
			r.write(events.ControllerRevision, events.VerbUpdated, disowned(r.d, rev), rev.Seq)
		}
	}
}

func (r *decider) selects(rev *sets.Revision) bool {
	return r.d.Selector.Matches(labels.Set(rev.Object.Labels))
}

// disowned returns a revision without d among its owners.
func disowned(d *sets.DaemonSet, rev *sets.Revision) *appsv1.ControllerRevision {
	o := rev.Object.DeepCopy()
	o.OwnerReferences = slices.DeleteFunc(o.OwnerReferences, func(x metav1.OwnerReference) bool { return x.UID == d.UID })
	return o
}

// adoptRevisions makes ownerless revisions that the selector matches its own
// (E13), and returns them.
func (r *decider) adoptRevisions() (adopted []*sets.Revision) {
	for _, rev := range r.s.RevisionsOf(r.d.Key.Namespace, "") {
		if rev.Object.DeletionTimestamp != nil || !r.selects(rev) {
			continue
		}
		o := rev.Object.DeepCopy()
		o.OwnerReferences = append(o.OwnerReferences, controllerRef(r.d))
		r.write(events.ControllerRevision, events.VerbUpdated, o, rev.Seq)
		adopted = append(adopted, rev)
	}
	return adopted
}

// newRevision records the present template. A name that a revision of a
// deleted DaemonSet still holds is waited for, because that will be collected;
// one that is held for good, by another template or by an owner that the log
// does not know, is a collision, which is counted in the status once and gives
// another name.
func (r *decider) newRevision(number int64) {
	d := r.d
	collisions := int32(0)
	if n := d.Object.Status.CollisionCount; n != nil {
		collisions = *n
	}
	hash := daemonpod.Hash(d.Digest, collisions)
	key := events.Key{Namespace: d.Key.Namespace, Name: daemonpod.RevisionName(d.Key.Name, hash)}
	if r.s.Terminating(key.Namespace) {
		return // where nothing new is made
	}
	if other := r.s.Revision(key); other != nil {
		if !r.s.Dying(other.OwnerUID) && (other.OwnerUID != d.UID || other.Digest != d.Digest) {
			collisions++
			ds := d.Object.DeepCopy()
			ds.Status.CollisionCount = &collisions
			r.out.Status = &Write{events.DaemonSet, events.VerbUpdated, ds, d.Seq}
		}
		return
	}
	data, err := daemonpod.RevisionData(&d.Spec.Template)
	if err != nil {
		return // a template that came out of the log goes into JSON
	}
	rev := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name,
			UID:               daemonpod.UID(d.UID, "", hash, int(r.s.Seq())),
			CreationTimestamp: metav1.NewTime(r.now.Truncate(1e9)),
			Labels:            maps.Clone(d.Spec.Template.Labels),
			Annotations:       maps.Clone(d.Object.Annotations),
			OwnerReferences:   []metav1.OwnerReference{controllerRef(d)}},
		Data:     runtime.RawExtension{Raw: data},
		Revision: number,
	}
	if rev.Labels == nil {
		rev.Labels = map[string]string{}
	}
	rev.Labels[daemonpod.RevisionLabel] = hash
	r.write(events.ControllerRevision, events.VerbCreated, rev, r.s.RevisionFence(key))
}

// forget deletes old revisions beyond the history limit, oldest first, and
// copies of the present one; never one that a pod still has (M19, M20).
func (r *decider) forget() {
	d := r.d
	cur := d.CurrentRevision()
	excess := -10
	if n := d.Spec.RevisionHistoryLimit; n != nil {
		excess = -int(*n)
	}
	for _, rev := range d.Revisions() {
		if rev.Digest != d.Digest {
			excess++
		}
	}
	for _, rev := range d.Revisions() {
		if rev == cur || d.Pods[rev.Hash] > 0 || d.CreatingRevision(rev.Hash) {
			continue
		}
		if rev.Digest != d.Digest {
			if excess <= 0 {
				continue
			}
			excess--
		}
		r.write(events.ControllerRevision, events.VerbDeleted, rev.Object, rev.Seq)
	}
}
