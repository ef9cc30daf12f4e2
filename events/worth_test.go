package events_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"rollcall/events"
)

const aNode = `
metadata:
  name: n
  labels: {a: "1"}
  managedFields:
  - {manager: kubelet, operation: Update, subresource: status, time: 2026-01-01T00:00:00Z, fieldsV1: {"f:status": {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:lastHeartbeatTime": {}}}}}}
  - {manager: me, operation: Apply, time: 2026-01-01T00:00:00Z, fieldsV1: {"f:metadata": {"f:labels": {"f:a": {}}}}}
spec: {taints: [{key: k, effect: NoSchedule}]}
status:
  allocatable: {cpu: "1"}
  images: [{names: [i]}]
  conditions:
  - {type: Ready, status: "True", reason: r, message: m, lastHeartbeatTime: 2026-01-01T00:00:00Z, lastTransitionTime: 2026-01-01T00:00:00Z}
`

const aPod = `
metadata: {name: p, namespace: x, generation: 1, annotations: {a: b}}
spec: {containers: [{name: c, image: i}], volumes: [{name: v}]}
status:
  phase: Running
  conditions: [{type: Ready, status: "True", lastProbeTime: 2026-01-01T00:00:00Z, lastTransitionTime: 2026-01-01T00:00:00Z}]
  containerStatuses: [{name: c, ready: true, restartCount: 0, image: i, imageID: ""}]
`

func yamlOf[T any](t *testing.T, text string) *T {
	t.Helper()
	v := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func later(at *metav1.Time) { at.Time = at.Add(5 * time.Minute) }

func TestWorthOfNodes(t *testing.T) {
	ready := func(n *corev1.Node) *corev1.NodeCondition { return &n.Status.Conditions[0] }
	heartbeat := func(n *corev1.Node) { later(&ready(n).LastHeartbeatTime) }
	for name, c := range map[string]struct {
		change func(n *corev1.Node)
		worth  bool
	}{
		"nothing":   {func(*corev1.Node) {}, false},
		"heartbeat": {heartbeat, false},
		"heartbeat of a kubelet": {func(n *corev1.Node) { // its entry is newer now, and last
			heartbeat(n)
			later(n.ManagedFields[0].Time)
			n.ManagedFields[0], n.ManagedFields[1] = n.ManagedFields[1], n.ManagedFields[0]
		}, false},
		"heartbeat of somebody new": {func(n *corev1.Node) {
			heartbeat(n)
			n.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:status":{}}}}}`)
			n.ManagedFields = append(n.ManagedFields, metav1.ManagedFieldsEntry{Manager: "patch", Operation: "Update", Subresource: "status",
				FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{"f:lastHeartbeatTime":{}}}}}`)})
		}, false},
		"images":         {func(n *corev1.Node) { n.Status.Images = nil }, false},
		"empty for none": {func(n *corev1.Node) { n.Spec.PodCIDRs = []string{} }, false},
		"quantity spelled otherwise": {func(n *corev1.Node) {
			n.Status.Allocatable = yamlOf[corev1.Node](t, `status: {allocatable: {cpu: 1000m}}`).Status.Allocatable
		}, false},
		"heartbeat and transition": {func(n *corev1.Node) { heartbeat(n); later(&ready(n).LastTransitionTime) }, true},
		"heartbeat and reason":     {func(n *corev1.Node) { heartbeat(n); ready(n).Reason = "x" }, true},
		"heartbeat and message":    {func(n *corev1.Node) { heartbeat(n); ready(n).Message = "x" }, true},
		"heartbeat and status":     {func(n *corev1.Node) { heartbeat(n); ready(n).Status = "Unknown" }, true},
		"heartbeat of a condition new": {func(n *corev1.Node) {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: "DiskPressure"})
		}, true},
		"ownership of a label": {func(n *corev1.Node) { n.ManagedFields[1].Manager = "you" }, true},
		"managers taken off":   {func(n *corev1.Node) { n.ManagedFields = nil }, true},
		"label":                {func(n *corev1.Node) { n.Labels["a"] = "2" }, true},
		"taint":                {func(n *corev1.Node) { n.Spec.Taints[0].Effect = "NoExecute" }, true},
		"taints gone":          {func(n *corev1.Node) { n.Spec.Taints = nil }, true},
		"cordon":               {func(n *corev1.Node) { n.Spec.Unschedulable = true }, true},
		"volume":               {func(n *corev1.Node) { n.Status.VolumesInUse = []corev1.UniqueVolumeName{"v"} }, true},
		"capacity": {func(n *corev1.Node) {
			n.Status.Allocatable = yamlOf[corev1.Node](t, `status: {allocatable: {cpu: 2}}`).Status.Allocatable
		}, true},
	} {
		old, now := yamlOf[corev1.Node](t, aNode), yamlOf[corev1.Node](t, aNode)
		c.change(now)
		checkWorth(t, name, events.Node, old, now, c.worth)
	}
}

func TestWorthOfPods(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *corev1.Pod)
		worth  bool
	}{
		"nothing":              {func(*corev1.Pod) {}, false},
		"probe":                {func(p *corev1.Pod) { later(&p.Status.Conditions[0].LastProbeTime) }, false},
		"empty for none":       {func(p *corev1.Pod) { p.Spec.Containers[0].Args = []string{} }, false},
		"ready":                {func(p *corev1.Pod) { p.Status.Conditions[0].Status = "False" }, true},
		"transition":           {func(p *corev1.Pod) { later(&p.Status.Conditions[0].LastTransitionTime) }, true},
		"restart":              {func(p *corev1.Pod) { p.Status.ContainerStatuses[0].RestartCount = 1 }, true},
		"an empty object came": {func(p *corev1.Pod) { p.Spec.Volumes[0].EmptyDir = &corev1.EmptyDirVolumeSource{} }, true},
		"deleted":              {func(p *corev1.Pod) { p.DeletionTimestamp = &p.Status.Conditions[0].LastProbeTime }, true},
	} {
		old, now := yamlOf[corev1.Pod](t, aPod), yamlOf[corev1.Pod](t, aPod)
		c.change(now)
		checkWorth(t, name, events.Pod, old, now, c.worth)
	}
}

func checkWorth(t *testing.T, name string, kind events.Kind, old, now metav1.Object, want bool) {
	t.Helper()
	a, err := events.NewObject(kind, old)
	if err != nil {
		t.Fatal(err)
	}
	b, err := events.NewObject(kind, now)
	if err != nil {
		t.Fatal(err)
	}
	if events.Worth(a, b) != want || events.Worth(b, a) != want {
		t.Errorf("%s: worth a fact is %v one way and %v back, want %v", name, events.Worth(a, b), events.Worth(b, a), want)
	}
}

// Of other kinds every difference is worth a fact, and so is what cannot be read.
func TestWorthOfTheRest(t *testing.T) {
	a, b := events.Object{Data: []byte{1}}, events.Object{Data: []byte{2}}
	for _, kind := range []events.Kind{events.DaemonSet, events.Node, events.Pod} {
		a.Kind, b.Kind = kind, kind
		if !events.Worth(a, b) || events.Worth(a, a) {
			t.Errorf("%s: bytes that differ say the same, or the same bytes do not", kind)
		}
	}
}
