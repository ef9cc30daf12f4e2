package apiserver

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// A value that an annotation of rollcall does not take is refused by every verb
// that writes a DaemonSet, with key, value and what the key takes.
func TestAnnotationsAreChecked(t *testing.T) {
	c := newCluster(t)
	sets := c.client.AppsV1().DaemonSets("default")
	bad := daemonSetOf("bad", podNamed("", nil).Spec)
	bad.Annotations = map[string]string{"rollcall/partition": "banana"}
	const reason = `metadata.annotations[rollcall/partition]: Invalid value: "banana": takes a whole number of nodes or a percentage, such as 2 or 20%`
	refused := func(verb string, err error) {
		t.Helper()
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want %s", verb, err, reason)
		}
	}
	_, err := sets.Create(t.Context(), bad, metav1.CreateOptions{})
	refused("create", err)
	ds, err := sets.Create(t.Context(), daemonSetOf("good", podNamed("", nil).Spec), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next := ds.DeepCopy()
	next.Annotations["rollcall/partition"] = "banana"
	_, err = sets.Update(t.Context(), next, metav1.UpdateOptions{})
	refused("update", err)
	_, err = sets.UpdateStatus(t.Context(), next, metav1.UpdateOptions{})
	refused("update of the status", err)
	patch := []byte(`{"metadata":{"annotations":{"rollcall/partition":"banana"}}}`)
	_, err = sets.Patch(t.Context(), "good", types.MergePatchType, patch, metav1.PatchOptions{})
	refused("patch", err)
	apply := []byte(`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"good","annotations":{"rollcall/partition":"banana"}}}`)
	_, err = sets.Patch(t.Context(), "good", types.ApplyPatchType, apply, metav1.PatchOptions{FieldManager: "test"})
	refused("apply", err)
	_, err = sets.Patch(t.Context(), "good", types.MergePatchType, []byte(`{"metadata":{"annotations":{"rollcall/partion":"1"}}}`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "did you mean rollcall/partition?") {
		t.Errorf("a key that nothing reads: %v", err)
	}
	if _, err = sets.Patch(t.Context(), "good", types.MergePatchType, []byte(`{"metadata":{"annotations":{"rollcall/partition":"20%"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("a percentage: %v", err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Annotations: map[string]string{"rollcall/fail": "maybe"}}}
	if _, err := c.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a node that may fail: %v", err)
	}
}

// An object of an older log with an annotation that is not taken can be changed.
func TestBadAnnotationsCanStay(t *testing.T) {
	c := newCluster(t)
	ds := daemonSetOf("old", podNamed("", nil).Spec)
	ds.Namespace, ds.UID = "default", "u"
	ds.Annotations = map[string]string{"rollcall/partition": "banana", "rollcall/bogus": "1"}
	ds.Spec.Template.Spec.RestartPolicy, ds.Spec.Template.Spec.DNSPolicy = corev1.RestartPolicyAlways, corev1.DNSClusterFirst
	ds.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	body, err := events.NewObject(events.DaemonSet, ds)
	if err != nil {
		t.Fatal(err)
	}
	seq := c.append(t, events.ObjectType(events.DaemonSet, events.VerbCreated), body)
	if err := c.objects.Await(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	for _, patch := range []string{`{"spec":{"minReadySeconds":1}}`, `{"metadata":{"annotations":{"rollcall/bogus":null}}}`,
		`{"metadata":{"annotations":{"rollcall/partition":"1"}}}`} {
		if _, err := c.client.AppsV1().DaemonSets("default").Patch(t.Context(), "old", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

// A surge whose pods cannot share a port of the node is refused, unless it was
// so before.
func TestSurgeOfAHostPort(t *testing.T) {
	spec := podNamed("", nil).Spec
	spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080}}
	c := newCluster(t)
	sets := c.client.AppsV1().DaemonSets("default")
	surge := func(name string, spec corev1.PodSpec) *appsv1.DaemonSet {
		ds := daemonSetOf(name, spec)
		ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxSurge: ptr.To(intstr.FromString("10%")), MaxUnavailable: ptr.To(intstr.FromInt32(0))}}
		return ds
	}
	const where = "spec.template.spec.containers[0].ports[0].hostPort"
	_, err := sets.Create(t.Context(), surge("port", spec), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), "host port 8080") {
		t.Errorf("a host port: %v", err)
	}
	network := *spec.DeepCopy()
	network.HostNetwork, network.Containers[0].Ports[0].HostPort = true, 0
	if _, err := sets.Create(t.Context(), surge("network", network), metav1.CreateOptions{}); err != nil {
		t.Errorf("the host's network: %v", err)
	}
	if _, err := sets.Create(t.Context(), surge("none", podNamed("", nil).Spec), metav1.CreateOptions{}); err != nil {
		t.Errorf("no port: %v", err)
	}
	if _, err := sets.Create(t.Context(), daemonSetOf("calm", spec), metav1.CreateOptions{}); err != nil {
		t.Errorf("no surge: %v", err)
	}
}
