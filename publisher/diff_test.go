package publisher_test

import (
	"bytes"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"rollcall/publisher"
)

func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	v := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

const aNode = `
metadata: {name: n, resourceVersion: "1", labels: {a: "1", example.com/x: y}, managedFields: [{manager: kubelet}]}
spec: {taints: [{key: k, effect: NoSchedule}]}
status:
  allocatable: {cpu: "1"}
  images: [{names: [i]}]
  conditions:
  - {type: Ready, status: "True", lastHeartbeatTime: 2026-01-01T00:00:00Z, lastTransitionTime: 2026-01-01T00:00:00Z}
`

const aPod = `
metadata: {name: p, namespace: x, generation: 1, annotations: {a: b}}
spec: {containers: [{name: c, image: i}], volumes: [{name: v}]}
status:
  phase: Running
  conditions: [{type: Ready, status: "True", lastProbeTime: 2026-01-01T00:00:00Z}]
  containerStatuses: [{name: c, ready: true, restartCount: 0, image: i, imageID: ""}]
`

func TestNodeChanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(n *corev1.Node)
		want   []string
	}{
		{"nothing", func(*corev1.Node) {}, nil},
		{"heartbeat", func(n *corev1.Node) {
			n.Status.Conditions[0].LastHeartbeatTime.Time = n.Status.Conditions[0].LastHeartbeatTime.AddDate(1, 0, 0)
			n.ResourceVersion = "2"
		}, nil},
		{"who wrote what", func(n *corev1.Node) { n.ManagedFields = nil }, nil},
		{"images", func(n *corev1.Node) { n.Status.Images = nil }, nil},
		{"empty for none", func(n *corev1.Node) { n.Spec.PodCIDRs = []string{} }, nil},
		{"quantity spelled otherwise", func(n *corev1.Node) {
			n.Status.Allocatable = parse[corev1.Node](t, `status: {allocatable: {cpu: 1000m}}`).Status.Allocatable
		}, nil},
		{"label", func(n *corev1.Node) { n.Labels["a"] = "2" }, []string{"metadata.labels.a"}},
		{"label with a prefix", func(n *corev1.Node) { delete(n.Labels, "example.com/x") }, []string{"metadata.labels[example.com/x]"}},
		{"taint added", func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "z"}) }, []string{"spec.taints"}},
		{"taint changed", func(n *corev1.Node) { n.Spec.Taints[0].Effect = "NoExecute" }, []string{"spec.taints[0].effect"}},
		{"taints gone", func(n *corev1.Node) { n.Spec.Taints = nil }, []string{"spec.taints"}},
		{"cordon", func(n *corev1.Node) { n.Spec.Unschedulable = true }, []string{"spec.unschedulable"}},
		{"not Ready", func(n *corev1.Node) {
			n.Status.Conditions[0].Status = "False"
			n.Status.Conditions[0].Reason = "x"
		}, []string{"status.conditions[Ready].reason", "status.conditions[Ready].status"}},
		{"capacity", func(n *corev1.Node) {
			n.Status.Allocatable = parse[corev1.Node](t, `status: {allocatable: {cpu: 2}}`).Status.Allocatable
		},
			[]string{"status.allocatable.cpu"}},
	} {
		old, new := parse[corev1.Node](t, aNode), parse[corev1.Node](t, aNode)
		c.change(new)
		check(t, c.name, old, new, c.want)
	}
}

func TestPodChanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *corev1.Pod)
		want   []string
	}{
		{"nothing", func(*corev1.Pod) {}, nil},
		{"probe", func(p *corev1.Pod) {
			p.Status.Conditions[0].LastProbeTime.Time = p.Status.Conditions[0].LastProbeTime.AddDate(1, 0, 0)
		}, nil},
		{"empty for none", func(p *corev1.Pod) {
			p.Spec.InitContainers, p.Spec.Containers[0].Args = []corev1.Container{}, []string{}
		}, nil},
		{"version", func(p *corev1.Pod) { p.ResourceVersion = "9" }, nil},
		{"ready", func(p *corev1.Pod) {
			p.Status.Conditions[0].Status = "False"
			p.Status.ContainerStatuses[0].Ready = false
		}, []string{"status.conditions[Ready].status", "status.containerStatuses[c].ready"}},
		{"restart", func(p *corev1.Pod) { p.Status.ContainerStatuses[0].RestartCount = 1 }, []string{"status.containerStatuses[c].restartCount"}},
		{"an empty object came", func(p *corev1.Pod) { p.Spec.Volumes[0].EmptyDir = &corev1.EmptyDirVolumeSource{} }, []string{"spec.volumes[v].emptyDir"}},
		{"container renamed", func(p *corev1.Pod) { p.Spec.Containers[0].Name = "d" }, []string{"spec.containers"}},
		{"deleted", func(p *corev1.Pod) { p.DeletionTimestamp = &p.Status.Conditions[0].LastProbeTime }, []string{"metadata.deletionTimestamp"}},
	} {
		old, new := parse[corev1.Pod](t, aPod), parse[corev1.Pod](t, aPod)
		c.change(new)
		check(t, c.name, old, new, c.want)
	}
}

func check[T corev1.Node | corev1.Pod](t *testing.T, name string, old, new *T, want []string) {
	t.Helper()
	before, _ := yaml.Marshal([]*T{old, new})
	got, err := publisher.Changes(old, new)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: %v, %v, want %v", name, got, err, want)
	}
	if back, _ := publisher.Changes(new, old); !slices.Equal(back, want) {
		t.Errorf("%s, back: %v, want %v", name, back, want)
	}
	if worth := publisher.Worth(old, new); worth != (want != nil) {
		t.Errorf("%s: worth a fact is %v", name, worth)
	}
	if after, _ := yaml.Marshal([]*T{old, new}); !bytes.Equal(before, after) {
		t.Errorf("%s: an object was changed", name)
	}
}

// A list that is always written is null for none.
func TestNoContainers(t *testing.T) {
	check(t, "empty for none", &corev1.Pod{}, &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{}}}, nil)
}

func TestWorthOfNone(t *testing.T) {
	n := parse[corev1.Node](t, aNode)
	if !publisher.Worth(nil, n) || !publisher.Worth(n, nil) || publisher.Worth[corev1.Node](nil, nil) {
		t.Error("to come and to go is worth a fact, to stay away is not")
	}
	if got, err := publisher.Changes(nil, n); err != nil || !slices.Contains(got, "metadata.labels.a") {
		t.Errorf("%v, %v", got, err)
	}
}
