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
	"rollcall/projector"
)

// revise sees to it that the present template has a revision, and that this
// revision has the highest number. It reports whether it has one already; if
// not, nothing else is decided until the log tells of it.
func (r *decider) revise() bool {
	d := r.d
	next := int64(1)
	for _, rev := range d.Revisions() {
		if rev.Digest != d.Digest {
			next = max(next, rev.Number+1)
		}
	}
	adopted := r.adoptRevisions()
	cur := d.CurrentRevision()
	switch {
	case cur == nil && !adopted:
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

// adoptRevisions makes ownerless revisions that the selector matches its own
// (E13), and reports whether one of them has the present template.
func (r *decider) adoptRevisions() (current bool) {
	for _, rev := range r.s.RevisionsOf(r.d.Key.Namespace, "") {
		if rev.Object.DeletionTimestamp != nil || !r.d.Selector.Matches(labels.Set(rev.Object.Labels)) {
			continue
		}
		o := rev.Object.DeepCopy()
		o.OwnerReferences = append(o.OwnerReferences, controllerRef(r.d))
		r.write(events.ControllerRevision, events.VerbUpdated, o, rev.Seq)
		current = current || rev.Digest == r.d.Digest
	}
	return current
}

// newRevision records the present template. A name that a dead DaemonSet's
// revision still holds is waited for; one that another template holds is a
// hash collision, which is counted in the status once and gives another name.
func (r *decider) newRevision(number int64) {
	d := r.d
	collisions := int32(0)
	if n := d.Object.Status.CollisionCount; n != nil {
		collisions = *n
	}
	hash := daemonpod.Hash(d.Digest, collisions)
	key := events.Key{Namespace: d.Key.Namespace, Name: daemonpod.RevisionName(d.Key.Name, hash)}
	if other := r.s.Revision(key); other != nil {
		if other.OwnerUID == d.UID && other.Digest != d.Digest {
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
	r.write(events.ControllerRevision, events.VerbCreated, rev, r.s.RevisionEnd(key))
}

// forget deletes old revisions beyond the history limit, oldest first, and
// copies of the present one; never one that a pod still has (M19, M20).
func (r *decider) forget() {
	d := r.d
	cur := d.CurrentRevision()
	old := slices.DeleteFunc(slices.Clone(d.Revisions()), func(x *projector.Revision) bool { return x.Digest == d.Digest })
	limit := 10
	if n := d.Spec.RevisionHistoryLimit; n != nil {
		limit = int(*n)
	}
	excess := len(old) - limit
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
