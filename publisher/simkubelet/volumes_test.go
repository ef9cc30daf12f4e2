package simkubelet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// wants is the affinity to nodes that a requirement selects.
func wants(r corev1.NodeSelectorRequirement) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{r}}}}}}
}

func (st *stand) volumeLine(o events.Object) string {
	st.t.Helper()
	if o.Kind == events.PersistentVolumeClaim {
		c := new(corev1.PersistentVolumeClaim)
		if err := o.Decode(c); err != nil {
			st.t.Fatal(err)
		}
		return fmt.Sprintf(" %s volume=%s has=%s finalizers=%v", c.Status.Phase, c.Spec.VolumeName, c.Status.Capacity.Storage(), c.Finalizers)
	}
	v := new(corev1.PersistentVolume)
	if err := o.Decode(v); err != nil {
		st.t.Fatal(err)
	}
	return fmt.Sprintf(" %s has=%s for=%s/%s", v.Status.Phase, v.Spec.Capacity.Storage(), v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name)
}

func newClaim(name, uid string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "x", UID: types.UID(uid)}}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	c.Status.Phase = corev1.ClaimPending
	return c
}

// converseMore is the part of a conversation that is about claims and volumes,
// and about what users see of pods.
func (st *stand) converseMore(d *datadriven.TestData, name string) string {
	claim := st.w.claims[events.Key{Namespace: "x", Name: name}]
	switch d.Cmd {
	case "claim":
		uid := "uid-" + name
		d.MaybeScanArgs(st.t, "uid", &uid)
		c := newClaim(name, uid)
		alterClaim(st, c, d)
		st.put(events.PersistentVolumeClaim, events.VerbCreated, c)
	case "change-claim":
		c := claim.object.DeepCopy()
		alterClaim(st, c, d)
		st.put(events.PersistentVolumeClaim, events.VerbUpdated, c)
	case "drop-claim":
		st.append("persistentvolumeclaim.deleted", events.Gone{Ref: claim.ref})
	case "retain":
		v := st.w.volumes[name].object.DeepCopy()
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		st.put(events.PersistentVolume, events.VerbUpdated, v)
	case "volume":
		v := newVolume(newClaim("elsewhere", "uid-elsewhere"), stamp(st.now))
		v.Name, v.UID, v.Annotations = name, "uid-"+v.UID, nil
		if d.HasArg("deleted") {
			v.Finalizers, v.DeletionTimestamp = []string{volumeProtection}, ptr.To(stamp(st.now))
		}
		if d.HasArg("available") {
			v.Spec.ClaimRef, v.Status.Phase = nil, corev1.VolumeAvailable
		}
		st.put(events.PersistentVolume, events.VerbCreated, v)
	case "waits":
		var names []string
		if st.w.binder.stuck != nil {
			st.w.binder.stuck.Scan(func(p *pod) bool {
				names = append(names, fmt.Sprintf("%s %s, offers %v", p.ref.Key.Name, p.stage, p.offers))
				return true
			})
		}
		return strings.Join(names, "\n")
	case "drop-volume":
		st.append("persistentvolume.deleted", events.Gone{Ref: st.w.volumes[name].ref})
	case "logs":
		return st.logs(name, d)
	case "notices":
		return st.notices(name)
	case "status":
		return st.status(name)
	case "configmap", "secret", "drop-configmap":
		st.thing(name, d)
	default:
		d.Fatalf(st.t, "unknown command %s", d.Cmd)
	}
	return "ok"
}

func alterClaim(st *stand, c *corev1.PersistentVolumeClaim, d *datadriven.TestData) {
	for _, a := range d.CmdArgs[1:] {
		switch a.Key {
		case "names":
			c.Spec.VolumeName = a.Vals[0]
		case "finalizers":
			c.Finalizers = a.Vals
		case "deleted":
			c.DeletionTimestamp = ptr.To(metav1.NewTime(st.now))
		}
	}
}

// A volume is for its claim alone, and says so as Kubernetes does.
func TestVolume(t *testing.T) {
	st := newStand(t, Options{})
	c := newClaim("data", "u1")
	c.Spec.StorageClassName = ptr.To("fast")
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany, corev1.ReadOnlyMany}
	st.put(events.PersistentVolumeClaim, events.VerbCreated, c)
	st.put(events.PersistentVolumeClaim, events.VerbCreated, newClaim("other", "u2"))
	static := newClaim("static", "u3")
	static.Spec.StorageClassName = ptr.To("") // a volume that somebody made, or none
	st.put(events.PersistentVolumeClaim, events.VerbCreated, static)
	if facts := st.run(time.Second); len(facts) != 4 {
		t.Fatalf("%d facts, want a volume and a bound claim for each of two", len(facts))
	}
	v, got := st.w.volumes["pvc-u1"].object, st.w.claims[events.Key{Namespace: "x", Name: "data"}].object
	want := corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "x", Name: "data", UID: "u1"}
	if *v.Spec.ClaimRef != want || v.Spec.StorageClassName != "fast" || len(v.Spec.AccessModes) != 2 ||
		v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || v.Spec.CSI == nil ||
		v.Annotations["pv.kubernetes.io/provisioned-by"] != "rollcall" || v.Status.Phase != corev1.VolumeBound ||
		v.UID == "" || v.UID == st.w.volumes["pvc-u2"].object.UID || v.CreationTimestamp.IsZero() {
		t.Errorf("volume %+v", v)
	}
	if got.Annotations["pv.kubernetes.io/bind-completed"] != "yes" || got.Annotations["pv.kubernetes.io/bound-by-controller"] != "yes" ||
		len(got.Status.AccessModes) != 2 || *got.Spec.StorageClassName != "fast" {
		t.Errorf("claim %+v", got)
	}
}

// finding U12: a claim that names its class in the old way gets a volume of
// that class, and none if it names no class on purpose.
func TestClassByAnnotation(t *testing.T) {
	st := newStand(t, Options{})
	for name, class := range map[string]string{"old": "gold", "static": ""} {
		c := newClaim(name, "uid-"+name)
		c.Annotations = map[string]string{"volume.beta.kubernetes.io/storage-class": class}
		c.Spec.StorageClassName = ptr.To("other")
		st.put(events.PersistentVolumeClaim, events.VerbCreated, c)
	}
	st.run(time.Second)
	if v := st.w.volumes["pvc-uid-old"].object; v == nil || v.Spec.StorageClassName != "gold" {
		t.Errorf("volume %+v, want one of class gold", v)
	}
	if v := st.w.volumes["pvc-uid-static"].object; v != nil {
		t.Errorf("a claim without a class got %s", v.Name)
	}
}

// claimOf is a claim as the world knows it.
func (st *stand) claimOf(name string) *corev1.PersistentVolumeClaim {
	return st.w.claims[events.Key{Namespace: "x", Name: name}].object
}

// handMade puts a volume that somebody made.
func (st *stand) handMade(name, class, size string, alter func(*corev1.PersistentVolume)) {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	v.Spec.StorageClassName, v.Spec.PersistentVolumeReclaimPolicy = class, corev1.PersistentVolumeReclaimRetain
	if alter != nil {
		alter(v)
	}
	st.put(events.PersistentVolume, events.VerbCreated, v)
}

// A volume that somebody made is bound as Kubernetes binds it: the smallest that
// fits, to the claim that it names, by class, selector and mode. Released, it is
// left alone.
func TestHandMadeVolume(t *testing.T) {
	st := newStand(t, Options{})
	st.handMade("big", "manual", "10Gi", nil)
	st.handMade("small", "manual", "2Gi", nil)
	st.handMade("tiny", "manual", "100Mi", nil)
	st.handMade("other", "gold", "2Gi", nil)
	st.handMade("for-named", "manual", "1Gi", func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "x", Name: "named"}
	})
	st.run(time.Second)
	if p := st.w.volumes["big"].object.Status.Phase; p != corev1.VolumeAvailable {
		t.Errorf("a volume without a claim is %s", p)
	}
	alter := map[string]func(*corev1.PersistentVolumeClaim){
		"names": func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "big" },
		"selects": func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Selector = metav1.SetAsLabelSelector(map[string]string{"a": "b"})
		},
	}
	// The claim "task" comes first: of what is for nobody, and for "named", it would get the smallest.
	for _, name := range []string{"task", "named", "names", "selects"} {
		c := newClaim(name, "u-"+name)
		c.Spec.StorageClassName = ptr.To("manual")
		if f := alter[name]; f != nil {
			f(c)
		}
		st.put(events.StorageClass, events.VerbCreated, newClass("manual", noProvisioner, false))
		st.put(events.PersistentVolumeClaim, events.VerbCreated, c)
	}
	st.run(time.Second)
	for name, want := range map[string]string{"task": "small", "named": "for-named", "names": "big", "selects": ""} {
		if c := st.claimOf(name); c.Spec.VolumeName != want || (c.Status.Phase == corev1.ClaimBound) != (want != "") {
			t.Errorf("claim %s is %s, bound to %q, want %q", name, c.Status.Phase, c.Spec.VolumeName, want)
		}
	}
	if v := st.w.volumes["small"].object; v.Status.Phase != corev1.VolumeBound || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != "u-task" || v.Annotations[boundByUs] != "yes" {
		t.Errorf("volume %+v", v)
	}
	st.append("persistentvolumeclaim.deleted", events.Gone{Ref: st.w.claims[events.Key{Namespace: "x", Name: "task"}].ref})
	st.run(time.Second)
	if v := st.w.volumes["small"].object; v == nil || v.Status.Phase != corev1.VolumeReleased {
		t.Errorf("after its claim is gone the volume is %+v", v)
	}
	again := newClaim("task", "u-again")
	again.Spec.StorageClassName = ptr.To("manual")
	st.put(events.PersistentVolumeClaim, events.VerbCreated, again)
	if st.run(time.Second); st.claimOf("task").Status.Phase != corev1.ClaimPending {
		t.Error("a released volume was bound again")
	}
}

func newClass(name, by string, waits bool) *storagev1.StorageClass {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("class-" + name)}, Provisioner: by, ReclaimPolicy: ptr.To(corev1.PersistentVolumeReclaimRetain)}
	if waits {
		c.VolumeBindingMode = ptr.To(storagev1.VolumeBindingWaitForFirstConsumer)
	}
	return c
}

// A class says whether volumes are made, when, and what becomes of them; a claim of
// one that is not there waits for it, once there are classes at all.
func TestStorageClasses(t *testing.T) {
	st := newStand(t, Options{})
	st.put(events.StorageClass, events.VerbCreated, newClass("fast", "csi.example", false))
	st.put(events.StorageClass, events.VerbCreated, newClass("late", "csi.example", true))
	st.put(events.StorageClass, events.VerbCreated, newClass("none", noProvisioner, false))
	for _, class := range []string{"fast", "late", "none", "gone"} {
		c := newClaim(class, "u-"+class)
		c.Spec.StorageClassName = ptr.To(class)
		st.put(events.PersistentVolumeClaim, events.VerbCreated, c)
	}
	phases := func() (text string) {
		for _, class := range []string{"fast", "late", "none", "gone"} {
			text += string(st.claimOf(class).Status.Phase) + " "
		}
		return strings.TrimSpace(text)
	}
	st.run(time.Second)
	if got := phases(); got != "Bound Pending Pending Pending" {
		t.Errorf("at first %s", got)
	}
	if p := st.w.volumes["pvc-u-fast"].object.Spec.PersistentVolumeReclaimPolicy; p != corev1.PersistentVolumeReclaimRetain {
		t.Errorf("its class says Retain, the volume %s", p)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "p", UID: "p"}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "late"}}}}
	st.put(events.Pod, events.VerbCreated, pod)
	st.put(events.StorageClass, events.VerbCreated, newClass("gone", "csi.example", false))
	st.run(time.Second)
	if got := phases(); got != "Bound Bound Pending Bound" {
		t.Errorf("with a pod and the class %s", got)
	}
}
