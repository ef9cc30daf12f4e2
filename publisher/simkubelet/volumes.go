package simkubelet

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// Names that Kubernetes' volume controllers leave on their objects.
const (
	provisionedBy    = "pv.kubernetes.io/provisioned-by"
	bindCompleted    = "pv.kubernetes.io/bind-completed"
	boundByUs        = "pv.kubernetes.io/bound-by-controller"
	claimProtection  = "kubernetes.io/pvc-protection"
	volumeProtection = "kubernetes.io/pv-protection"

	provisioner = "rollcall" // also the driver's name: no volume here has bytes
)

// The stages of a claim.
const (
	claimAway    stage = "away"    // its volume is not this world's business
	claimWaiting stage = "waiting" // for its volume
	claimBinding stage = "binding" // Bound next
	claimBound   stage = "bound"
	claimUsed    stage = "used"   // deleted; a pod uses it
	claimEnding  stage = "ending" // deleted; its protection is taken off next
)

// The stages of a volume.
const (
	volumeAway      stage = "away"      // there is none and need be none, or somebody else's
	volumeMaking    stage = "making"    // made next
	volumeBound     stage = "bound"     // its claim is there
	volumeHeld      stage = "held"      // its claim is gone; held by finalizers
	volumeDropping  stage = "dropping"  // its claim is gone; gone next
	volumeReleasing stage = "releasing" // its claim is gone; Released next
	volumeReleased  stage = "released"
	volumeOffered   stage = "offered"   // somebody has made it; Available next
	volumeAvailable stage = "available" // somebody has made it
	volumeTaken     stage = "taken"     // somebody has made it; a claim gets it next
	volumeEnding    stage = "ending"    // deleted, and no claim has it; its protection is taken off next
)

// claim is a PersistentVolumeClaim.
type claim struct {
	item
	object *corev1.PersistentVolumeClaim // never modified
	data   []byte
	takes  *volume // that somebody has made; nil: none
}

// volume is a name under which the volume of a claim comes and goes.
type volume struct {
	item
	object *corev1.PersistentVolume // nil: there is none. Never modified
	data   []byte
	claim  *claim // nil: it is gone
	taker  *claim // of a volume that somebody has made; nil: none
}

func volumeName(c types.UID) string { return "pvc-" + string(c) }

func volumeUID(c types.UID) types.UID { return derivedUID("volume/" + string(c)) }

func (w *World) volume(name string) *volume {
	v, ok := w.volumes[name]
	if !ok {
		v = &volume{item: w.newItem(events.Ref{Kind: events.PersistentVolume, Key: events.Key{Name: name}})}
		w.volumes[name] = v
	}
	return v
}

func (w *World) claimIs(e events.Event, o events.Object) {
	now := clock(e)
	c := w.claims[o.Key]
	if c != nil && c.ref.UID != o.UID {
		w.forgetClaim(c, now)
		c = nil
	}
	if c == nil {
		c = &claim{item: w.newItem(o.Ref)}
		w.claims[o.Key] = c
	}
	object := read[corev1.PersistentVolumeClaim](&c.item, o)
	if object == nil {
		return
	}
	c.object, c.data, c.seq = object, o.Data, e.Seq
	v := w.volume(volumeName(o.UID))
	if v.claim = c; v.object == nil {
		v.ref.UID = volumeUID(o.UID)
	}
	w.armVolume(v, now)
	w.armClaim(c, now)
	w.armUsers(o.Key, now)
}

func (w *World) claimGone(e events.Event, r events.Ref) {
	if c := w.claims[r.Key]; c != nil {
		w.forgetClaim(c, clock(e))
		w.armUsers(r.Key, clock(e))
	}
}

func (w *World) forgetClaim(c *claim, now time.Time) {
	delete(w.claims, c.ref.Key)
	w.retire(&c.item)
	if v := c.takes; v != nil {
		v.taker, c.takes = nil, nil
		w.armVolume(v, now)
	} else if c.object != nil && w.volumes[c.object.Spec.VolumeName] != nil {
		w.armVolume(w.volumes[c.object.Spec.VolumeName], now)
	}
	if v := w.volumes[volumeName(c.ref.UID)]; v != nil {
		v.claim = nil
		w.armVolume(v, now)
		w.dropVolume(v)
	}
}

func (w *World) volumeIs(e events.Event, o events.Object) {
	v := w.volume(o.Key.Name)
	object := read[corev1.PersistentVolume](&v.item, o)
	if object == nil {
		return
	}
	fresh := v.object == nil
	v.object, v.data, v.ref.UID, v.seq = object, o.Data, o.UID, e.Seq
	if r := object.Spec.ClaimRef; v.handMade() && r != nil && v.taker == nil {
		if c := w.claims[events.Key{Namespace: r.Namespace, Name: r.Name}]; c != nil && c.ref.UID == r.UID && c.takes == nil {
			v.taker, c.takes = c, v
		}
	}
	w.armVolume(v, clock(e))
	if c := v.taker; c != nil {
		w.armClaim(c, clock(e))
	}
	if fresh && v.handMade() {
		w.armAllClaims(clock(e))
	}
	if v.claim != nil {
		w.armClaim(v.claim, clock(e))
	}
}

func (w *World) volumeGone(e events.Event, r events.Ref) {
	v := w.volume(r.Key.Name)
	v.object, v.data, v.under, v.seq = nil, nil, nil, e.Seq
	if c := v.taker; c != nil {
		v.taker, c.takes = nil, nil
		w.armClaim(c, clock(e))
	}
	w.armVolume(v, clock(e))
	if v.claim != nil {
		w.armClaim(v.claim, clock(e))
	}
	w.dropVolume(v)
}

// dropVolume forgets a volume that is not there and that no claim asks for.
func (w *World) dropVolume(v *volume) {
	if v.object == nil && v.claim == nil && v.taker == nil {
		w.retire(&v.item)
		delete(w.volumes, v.ref.Key.Name)
	}
}

// mount notes the claims that a pod uses.
func (w *World) mount(p *pod, o *corev1.Pod) {
	for i := range o.Spec.Volumes {
		source := o.Spec.Volumes[i].PersistentVolumeClaim
		if source == nil {
			continue
		}
		key := events.Key{Namespace: o.Namespace, Name: source.ClaimName}
		if !slices.Contains(p.claims, key) {
			p.claims = append(p.claims, key)
			w.users[key] = with(w.users[key], p)
		}
	}
}

func (w *World) unmount(p *pod) {
	for _, key := range p.claims {
		w.users[key] = without(w.users[key], p)
		if len(w.users[key]) == 0 {
			delete(w.users, key)
		}
	}
}

// unmet returns what a pod's claims lack before it can be bound, or "".
func (w *World) unmet(p *pod) string {
	for _, key := range p.claims {
		c := w.claims[key]
		switch {
		case c == nil || c.object == nil:
			return fmt.Sprintf("persistentvolumeclaim %q not found", key.Name)
		case c.object.DeletionTimestamp != nil:
			return fmt.Sprintf("persistentvolumeclaim %q is being deleted", key.Name)
		case c.object.Status.Phase != corev1.ClaimBound:
			return "pod has unbound immediate PersistentVolumeClaims"
		}
	}
	return ""
}

// armUsers arms the pods of a claim anew after it changed.
func (w *World) armUsers(key events.Key, now time.Time) {
	for _, p := range w.users[key] {
		w.unstick(p)
		w.armPod(p, now)
	}
}

// armClaims arms the claims of a pod anew after it changed.
func (w *World) armClaims(p *pod, now time.Time) {
	for _, key := range p.claims {
		if c := w.claims[key]; c != nil {
			w.armClaim(c, now)
		}
	}
}

func (w *World) armClaim(c *claim, now time.Time) {
	if c.object == nil {
		return
	}
	w.choose(c, now)
	w.enter(&c.item, w.claimStage(c), now)
	if v := w.volumes[volumeName(c.ref.UID)]; v != nil && v.object == nil {
		w.armVolume(v, now)
	}
}

func (w *World) armVolume(v *volume, now time.Time) { w.enter(&v.item, w.volumeStage(v), now) }

// claimStage returns what a claim does now, and whether its step is due.
func (w *World) claimStage(c *claim) due {
	o := c.object
	switch {
	case o.DeletionTimestamp != nil && !slices.Contains(o.Finalizers, claimProtection):
		return atRest(claimAway)
	case o.DeletionTimestamp != nil && slices.ContainsFunc(w.users[c.ref.Key], func(p *pod) bool { return p.bound }):
		return atRest(claimUsed)
	case o.DeletionTimestamp != nil:
		return after(claimEnding, 0)
	case !pending(o) && o.Status.Phase == corev1.ClaimBound:
		return atRest(claimBound)
	case !pending(o):
		return atRest(claimAway)
	case !w.volumeOf(c).boundTo(c):
		return atRest(claimWaiting)
	}
	return after(claimBinding, 0)
}

// pending reports whether a claim is to get a volume.
func pending(o *corev1.PersistentVolumeClaim) bool {
	return o.Status.Phase == "" || o.Status.Phase == corev1.ClaimPending
}

// classOf returns the storage class of a claim, nil for the default one. The
// old annotation goes before the field, as in Kubernetes.
func classOf(o *corev1.PersistentVolumeClaim) *string {
	if class, ok := o.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return &class
	}
	return o.Spec.StorageClassName
}

// volumeStage returns what a volume does now, and when its step is due.
func (w *World) volumeStage(v *volume) due {
	o, c := v.object, v.claim
	switch {
	case o == nil && c != nil && c.object.DeletionTimestamp == nil && w.provisioned(c):
		return after(volumeMaking, w.delay(w.options.Bind, &c.item, "provision"))
	case o != nil && o.DeletionTimestamp != nil && o.Status.Phase != corev1.VolumeBound && slices.Contains(o.Finalizers, volumeProtection):
		return after(volumeEnding, 0)
	case v.handMade():
		return w.handMadeStage(v)
	case o == nil || o.Annotations[provisionedBy] != provisioner:
		return atRest(volumeAway)
	case c != nil:
		return atRest(volumeBound)
	case o.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete && o.Status.Phase == corev1.VolumeReleased:
		return atRest(volumeReleased)
	case o.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete:
		return after(volumeReleasing, 0)
	case slices.ContainsFunc(o.Finalizers, func(f string) bool { return f != volumeProtection }):
		return atRest(volumeHeld)
	}
	return after(volumeDropping, 0)
}

func (w *World) claimStep(c *claim, now time.Time) *Step {
	o := c.object.DeepCopy()
	if c.stage == claimEnding {
		o.Finalizers = slices.DeleteFunc(o.Finalizers, func(f string) bool { return f == claimProtection })
		if len(o.Finalizers) == 0 {
			return w.newStep(&c.item, events.VerbDeleted, events.Gone{Ref: c.ref, Data: c.data}, now)
		}
	} else {
		v := w.volumeOf(c).object
		metav1.SetMetaDataAnnotation(&o.ObjectMeta, bindCompleted, "yes")
		metav1.SetMetaDataAnnotation(&o.ObjectMeta, boundByUs, "yes")
		o.Spec.VolumeName = v.Name
		o.Status.Phase = corev1.ClaimBound
		o.Status.AccessModes = slices.Clone(v.Spec.AccessModes)
		o.Status.Capacity = v.Spec.Capacity.DeepCopy()
	}
	return w.becomes(&c.item, events.VerbUpdated, o, now)
}

func (w *World) volumeStep(v *volume, now time.Time) *Step {
	verb, o := events.VerbUpdated, (*corev1.PersistentVolume)(nil)
	switch v.stage {
	case volumeDropping:
		return w.newStep(&v.item, events.VerbDeleted, events.Gone{Ref: v.ref, Data: v.data}, now)
	case volumeMaking:
		verb, o = events.VerbCreated, newVolume(v.claim.object, stamp(now))
		if is, there := w.classes[o.Spec.StorageClassName]; there {
			o.Spec.PersistentVolumeReclaimPolicy = is.reclaim
		}
	case volumeTaken:
		o = take(v, stamp(now))
	case volumeOffered:
		o = v.object.DeepCopy()
		o.Status.Phase, o.Status.LastPhaseTransitionTime = corev1.VolumeAvailable, ptr.To(stamp(now))
	case volumeEnding:
		o = v.object.DeepCopy()
		o.Finalizers = slices.DeleteFunc(o.Finalizers, func(f string) bool { return f == volumeProtection })
		if len(o.Finalizers) == 0 {
			return w.newStep(&v.item, events.VerbDeleted, events.Gone{Ref: v.ref, Data: v.data}, now)
		}
	default:
		o = v.object.DeepCopy()
		o.Status.Phase, o.Status.LastPhaseTransitionTime = corev1.VolumeReleased, ptr.To(stamp(now))
	}
	return w.becomes(&v.item, verb, o, now)
}

// newVolume returns the volume for a claim, bound to it.
func newVolume(c *corev1.PersistentVolumeClaim, at metav1.Time) *corev1.PersistentVolume {
	name := volumeName(c.UID)
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, UID: volumeUID(c.UID),
		CreationTimestamp: at, Annotations: map[string]string{provisionedBy: provisioner}}}
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: c.Spec.Resources.Requests[corev1.ResourceStorage].DeepCopy()}
	v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: provisioner, VolumeHandle: name}
	v.Spec.AccessModes = slices.Clone(c.Spec.AccessModes)
	v.Spec.ClaimRef = &corev1.ObjectReference{APIVersion: "v1", Kind: string(events.PersistentVolumeClaim), Namespace: c.Namespace, Name: c.Name, UID: c.UID}
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	v.Spec.StorageClassName = ptr.Deref(classOf(c), "")
	v.Spec.VolumeMode = ptr.To(ptr.Deref(c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem))
	v.Status.Phase, v.Status.LastPhaseTransitionTime = corev1.VolumeBound, ptr.To(at)
	return v
}
