package simkubelet

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// noProvisioner is what a StorageClass names whose volumes somebody makes.
const noProvisioner = "kubernetes.io/no-provisioner"

// class is what a StorageClass says of its volumes.
type class struct {
	made    bool // for claims, by whatever provisioner it names
	waits   bool // for a pod that uses the claim
	reclaim corev1.PersistentVolumeReclaimPolicy
}

func (w *World) classIs(e events.Event, o events.Object) {
	object := new(storagev1.StorageClass)
	if o.Decode(object) != nil {
		return // the fold of the log reports it
	}
	w.classes[o.Key.Name] = class{object.Provisioner != noProvisioner, ptr.Deref(object.VolumeBindingMode, "") == storagev1.VolumeBindingWaitForFirstConsumer,
		ptr.Deref(object.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)}
	w.armAllClaims(clock(e))
}

func (w *World) classGone(e events.Event, r events.Ref) {
	delete(w.classes, r.Key.Name)
	w.armAllClaims(clock(e))
}

// armAllClaims arms the claims anew after there is another class or volume.
func (w *World) armAllClaims(now time.Time) {
	for _, key := range slices.SortedFunc(maps.Keys(w.claims), events.Key.Compare) {
		w.armClaim(w.claims[key], now)
	}
}

// provisioned reports whether a claim gets a volume that is made for it. In a
// cluster without any StorageClass every class is as good as there: tutorials name
// theirs and bring none.
func (w *World) provisioned(c *claim) bool {
	o := c.object
	if !pending(o) || o.Spec.VolumeName != "" && o.Spec.VolumeName != volumeName(o.UID) || c.takes != nil {
		return false
	}
	name := classOf(o)
	switch {
	case name != nil && *name == "":
		return false
	case name == nil || len(w.classes) == 0:
		return true
	}
	is, there := w.classes[*name]
	return there && is.made && (!is.waits || len(w.users[c.ref.Key]) > 0)
}

// choose gives a claim the smallest volume that somebody has made and that it can
// have, by name among equals: those that others take are left alone.
func (w *World) choose(c *claim, now time.Time) {
	o := c.object
	if c.takes != nil && (!pending(o) || o.DeletionTimestamp != nil || !c.takes.fits(o)) {
		c.takes.taker = nil
		c.takes = nil
	}
	if c.takes != nil || !pending(o) || o.DeletionTimestamp != nil || w.made(c) {
		return
	}
	if name := classOf(o); name != nil && w.classes[*name].waits && len(w.users[c.ref.Key]) == 0 {
		return
	}
	var best *volume
	for _, name := range slices.Sorted(maps.Keys(w.volumes)) {
		v := w.volumes[name]
		if v.taker == nil && v.fits(o) && (best == nil || v.size() < best.size()) {
			best = v
		}
	}
	if best != nil {
		best.taker, c.takes = c, best
		w.armVolume(best, now)
	}
}

// made reports whether the volume for a claim is there already.
func (w *World) made(c *claim) bool {
	v := w.volumes[volumeName(c.ref.UID)]
	return v != nil && v.object != nil
}

// volumeOf returns the volume that is bound to a claim: that which was made for it,
// or the one that it takes.
func (w *World) volumeOf(c *claim) *volume {
	if c.takes != nil {
		return c.takes
	}
	return w.volumes[volumeName(c.ref.UID)]
}

func (v *volume) size() int64 {
	q := v.object.Spec.Capacity[corev1.ResourceStorage]
	return q.Value()
}

// handMade reports whether somebody has made the volume, who wants it bound.
func (v *volume) handMade() bool {
	return v.object != nil && v.object.Annotations[provisionedBy] == ""
}

// fits reports whether a claim can have a volume, as Kubernetes matches them.
func (v *volume) fits(c *corev1.PersistentVolumeClaim) bool {
	if !v.handMade() || v.object.DeletionTimestamp != nil {
		return false
	}
	o := v.object
	if r := o.Spec.ClaimRef; r != nil && (r.Namespace != c.Namespace || r.Name != c.Name || r.UID != "" && r.UID != c.UID) {
		return false
	}
	if p := o.Status.Phase; p != "" && p != corev1.VolumePending && p != corev1.VolumeAvailable && o.Spec.ClaimRef == nil || p == corev1.VolumeReleased || p == corev1.VolumeFailed {
		return false
	}
	if c.Spec.VolumeName != "" && c.Spec.VolumeName != o.Name {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(c.Spec.Selector)
	if err != nil || c.Spec.Selector != nil && !selector.Matches(labels.Set(o.Labels)) {
		return false
	}
	mode := func(m *corev1.PersistentVolumeMode) corev1.PersistentVolumeMode {
		return ptr.Deref(m, corev1.PersistentVolumeFilesystem)
	}
	asked := c.Spec.Resources.Requests[corev1.ResourceStorage]
	return ptr.Deref(classOf(c), "") == o.Spec.StorageClassName && mode(c.Spec.VolumeMode) == mode(o.Spec.VolumeMode) && v.size() >= asked.Value() &&
		!slices.ContainsFunc(c.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool { return !slices.Contains(o.Spec.AccessModes, m) })
}

// boundTo reports whether a volume is bound to a claim.
func (v *volume) boundTo(c *claim) bool {
	return v != nil && v.object != nil && v.object.Spec.ClaimRef != nil && v.object.Spec.ClaimRef.UID == c.ref.UID
}

// handMadeStage returns what a volume that somebody has made does now.
func (w *World) handMadeStage(v *volume) due {
	o := v.object
	r := o.Spec.ClaimRef
	var c *claim
	if r != nil && r.UID != "" {
		c = w.claims[events.Key{Namespace: r.Namespace, Name: r.Name}]
	}
	switch {
	case c != nil && c.ref.UID == r.UID:
		return atRest(volumeBound)
	case r != nil && r.UID != "" && o.Status.Phase == corev1.VolumeReleased:
		return atRest(volumeReleased)
	case r != nil && r.UID != "":
		return after(volumeReleasing, 0) // whatever its policy says: nobody here can delete what is in it
	case o.DeletionTimestamp != nil:
		return atRest(volumeAway)
	case v.taker != nil:
		return after(volumeTaken, w.delay(w.options.Bind, &v.item, "bind"))
	case o.Status.Phase == "" || o.Status.Phase == corev1.VolumePending:
		return after(volumeOffered, 0)
	}
	return atRest(volumeAvailable)
}

// take binds a volume that somebody has made to the claim that takes it.
func take(v *volume, now metav1.Time) *corev1.PersistentVolume {
	o, c := v.object.DeepCopy(), v.taker.object
	if o.Spec.ClaimRef == nil {
		metav1.SetMetaDataAnnotation(&o.ObjectMeta, boundByUs, "yes")
	}
	o.Spec.ClaimRef = &corev1.ObjectReference{APIVersion: "v1", Kind: string(events.PersistentVolumeClaim), Namespace: c.Namespace, Name: c.Name, UID: c.UID}
	o.Status.Phase, o.Status.LastPhaseTransitionTime = corev1.VolumeBound, ptr.To(now)
	return o
}
