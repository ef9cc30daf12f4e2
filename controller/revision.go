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
func (d *decider) revise() bool {
	ds := d.ds
	d.disown()
	adopted := d.adoptRevisions()
	for _, rev := range ds.Revisions() {
		if rev.Object.Labels[daemonpod.RevisionLabel] == "" && d.selects(rev) {
			o := rev.Object.DeepCopy()
			metav1.SetMetaDataLabel(&o.ObjectMeta, daemonpod.RevisionLabel, rev.Hash) // M02
			d.write(events.ControllerRevision, events.VerbUpdated, o, rev.Seq)
			return false
		}
	}
	next, waits := int64(1), false
	for _, revs := range [2][]*sets.Revision{ds.Revisions(), adopted} {
		for _, rev := range revs {
			if rev.Digest != ds.Digest {
				next = max(next, rev.Number+1)
			}
		}
	}
	for _, rev := range adopted {
		waits = waits || rev.Digest == ds.Digest
	}
	cur := ds.CurrentRevision()
	switch {
	case cur == nil && !waits:
		d.newRevision(next)
		return false
	case cur == nil:
		return false
	case cur.Number < next:
		o := cur.Object.DeepCopy()
		o.Revision = next
		d.write(events.ControllerRevision, events.VerbUpdated, o, cur.Seq)
	}
	return true
}

// disown takes the DaemonSet off revisions that its selector no longer matches (E13).
func (d *decider) disown() {
	for _, rev := range d.ds.Revisions() {
		if !d.selects(rev) {
			d.write(events.ControllerRevision, events.VerbUpdated, disowned(d.ds, rev), rev.Seq)
		}
	}
}

func (d *decider) selects(rev *sets.Revision) bool {
	return d.ds.Selector.Matches(labels.Set(rev.Object.Labels))
}

// disowned returns a revision without the DaemonSet among its owners.
func disowned(ds *sets.DaemonSet, rev *sets.Revision) *appsv1.ControllerRevision {
	o := rev.Object.DeepCopy()
	o.OwnerReferences = slices.DeleteFunc(o.OwnerReferences, func(x metav1.OwnerReference) bool { return x.UID == ds.UID })
	return o
}

// adoptRevisions makes ownerless revisions that the selector matches its own
// (E13), and returns them.
func (d *decider) adoptRevisions() (adopted []*sets.Revision) {
	for _, rev := range d.s.RevisionsOf(d.ds.Key.Namespace, "") {
		if rev.Object.DeletionTimestamp != nil || !d.selects(rev) {
			continue
		}
		o := rev.Object.DeepCopy()
		o.OwnerReferences = append(o.OwnerReferences, controllerRef(d.ds))
		d.write(events.ControllerRevision, events.VerbUpdated, o, rev.Seq)
		adopted = append(adopted, rev)
	}
	return adopted
}

// newRevision records the present template. A name that a revision of a
// deleted DaemonSet still holds is waited for, because that will be collected;
// one that is held for good, by another template or by an owner that the log
// does not know, is a collision, which is counted in the status once and gives
// another name.
func (d *decider) newRevision(number int64) {
	ds := d.ds
	collisions := int32(0)
	if n := ds.Object.Status.CollisionCount; n != nil {
		collisions = *n
	}
	hash := daemonpod.Hash(ds.Digest, collisions)
	key := events.Key{Namespace: ds.Key.Namespace, Name: daemonpod.RevisionName(ds.Key.Name, hash)}
	if d.s.Terminating(key.Namespace) {
		return // where nothing new is made
	}
	if other := d.s.Revision(key); other != nil {
		if !d.s.Dying(other.OwnerUID) && (other.OwnerUID != ds.UID || other.Digest != ds.Digest) {
			collisions++
			o := ds.Object.DeepCopy()
			o.Status.CollisionCount = &collisions
			d.out.Status = &Write{events.DaemonSet, events.VerbUpdated, o, ds.Seq}
		}
		return
	}
	data, err := daemonpod.RevisionData(&ds.Spec.Template)
	if err != nil {
		return // a template that came out of the log goes into JSON
	}
	rev := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name,
			UID:               daemonpod.UID(ds.UID, "", hash, int(d.s.Seq())),
			CreationTimestamp: metav1.NewTime(d.now.Truncate(1e9)),
			Labels:            maps.Clone(ds.Spec.Template.Labels),
			Annotations:       maps.Clone(ds.Object.Annotations),
			OwnerReferences:   []metav1.OwnerReference{controllerRef(ds)}},
		Data:     runtime.RawExtension{Raw: data},
		Revision: number,
	}
	if rev.Labels == nil {
		rev.Labels = map[string]string{}
	}
	rev.Labels[daemonpod.RevisionLabel] = hash
	d.write(events.ControllerRevision, events.VerbCreated, rev, d.s.RevisionFence(key))
}

// forget deletes old revisions beyond the history limit, oldest first, and
// copies of the present one; never one that a pod still has (M19, M20).
func (d *decider) forget() {
	ds := d.ds
	cur := ds.CurrentRevision()
	excess := -10
	if n := ds.Spec.RevisionHistoryLimit; n != nil {
		excess = -int(*n)
	}
	for _, rev := range ds.Revisions() {
		if rev.Digest != ds.Digest {
			excess++
		}
	}
	for _, rev := range ds.Revisions() {
		if rev == cur || ds.Pods[rev.Hash] > 0 || ds.CreatingRevision(rev.Hash) {
			continue
		}
		if rev.Digest != ds.Digest {
			if excess <= 0 {
				continue
			}
			excess--
		}
		d.write(events.ControllerRevision, events.VerbDeleted, rev.Object, rev.Seq)
	}
}
