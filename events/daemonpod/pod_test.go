package daemonpod

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"rollcall/events"
)

func fromYAML[T any](t *testing.T, text string) *T {
	t.Helper()
	v := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), v); err != nil {
		t.Fatalf("yaml: %v\n%s", err, text)
	}
	return v
}

func daemonSet(t *testing.T) *appsv1.DaemonSet {
	t.Helper()
	return fromYAML[appsv1.DaemonSet](t, `
metadata: {name: agent, namespace: logging, uid: ds-1, annotations: {deprecated.daemonset.template.generation: "2", other: x}}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata:
      name: ignored
      labels: {app: agent}
      annotations: {note: "1"}
      finalizers: [example.com/hold]
    spec:
      containers:
      - {name: c, image: "agent:1", resources: {limits: {cpu: 100m, memory: 64Mi}}}
`)
}

var create = events.Command{Do: events.CreatePod, Ref: events.Ref{Kind: events.Pod, Key: events.Key{Name: "agent-bcdfghjk"}, UID: "pod-1"}, Node: "node-a", Revision: "rrrrrrrrrr"}

// D01-D05, D09, D11, D15.
func TestNew(t *testing.T) {
	ds := daemonSet(t)
	SetDaemonSetDefaults(ds)
	before := ds.DeepCopy()
	at := time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC)
	pod := New(ds, &ds.Spec.Template, create, at)

	want := metav1.ObjectMeta{
		Name: "agent-bcdfghjk", GenerateName: "agent-", Namespace: "logging", UID: "pod-1", Generation: 1,
		CreationTimestamp: metav1.NewTime(at.Truncate(time.Second)),
		Labels: map[string]string{"app": "agent", "controller-revision-hash": "rrrrrrrrrr",
			"pod-template-generation": "2"},
		Annotations: map[string]string{"note": "1"},
		Finalizers:  []string{"example.com/hold"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: "ds-1",
			Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}},
	}
	if !reflect.DeepEqual(pod.ObjectMeta, want) {
		t.Errorf("metadata\n got %+v\nwant %+v", pod.ObjectMeta, want)
	}
	if pod.Spec.NodeName != "" {
		t.Errorf("nodeName is %q, want none: the scheduler binds", pod.Spec.NodeName)
	}
	if n, ok := TargetNode(&pod.Spec); n != "node-a" || !ok {
		t.Errorf("target node %q, %v", n, ok)
	}
	if len(pod.Spec.Tolerations) != 6 {
		t.Errorf("tolerations: %v", pod.Spec.Tolerations)
	}
	if pod.Status.Phase != corev1.PodPending || pod.Status.QOSClass != corev1.PodQOSGuaranteed {
		t.Errorf("status %+v", pod.Status)
	}
	if !reflect.DeepEqual(ds, before) {
		t.Error("the DaemonSet was changed")
	}
	pod.Labels["x"], pod.Annotations["x"], pod.Finalizers[0] = "x", "x", "x"
	pod.Spec.Containers[0].Image = "x"
	if !reflect.DeepEqual(ds, before) {
		t.Error("the pod shares memory with the DaemonSet")
	}
}

// D09: a template that names a node keeps it, and the scheduler is bypassed.
func TestNewKeepsNodeName(t *testing.T) {
	ds := daemonSet(t)
	ds.Spec.Template.Spec.NodeName = "node-a"
	if pod := New(ds, &ds.Spec.Template, create, time.Unix(0, 0)); pod.Spec.NodeName != "node-a" {
		t.Errorf("nodeName %q", pod.Spec.NodeName)
	}
}

// TestCreatePodTemplate of spec 6.3: generation 1 without a hash, 2 with one;
// D04, D05: what does not parse gives no label, a template's own is overridden.
func TestNewLabels(t *testing.T) {
	for _, c := range []struct {
		name, generation, revision string
		want                       map[string]string
	}{
		{"generation only", "1", "", map[string]string{"pod-template-generation": "1"}},
		{"generation and hash", "2", "h", map[string]string{"pod-template-generation": "2", "controller-revision-hash": "h"}},
		{"no number", "two", "h", map[string]string{"controller-revision-hash": "h"}},
		{"no annotation", "", "h", map[string]string{"controller-revision-hash": "h"}},
	} {
		ds := daemonSet(t)
		ds.Spec.Template.Labels = map[string]string{}
		if c.revision != "" {
			ds.Spec.Template.Labels[RevisionLabel] = "of the template"
		}
		ds.Annotations = map[string]string{GenerationAnnotation: c.generation}
		if c.generation == "" {
			ds.Annotations = nil
		}
		cmd := create
		cmd.Revision = c.revision
		if got := New(ds, &ds.Spec.Template, cmd, time.Unix(0, 0)).Labels; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestQOSClass(t *testing.T) {
	for want, spec := range map[corev1.PodQOSClass][]string{
		corev1.PodQOSBestEffort: {`containers: [{name: a}]`, `containers: [{name: a, resources: {requests: {cpu: "0"}}}]`,
			`containers: [{name: a, resources: {requests: {ephemeral-storage: 1Gi}}}]`},
		corev1.PodQOSBurstable: {`containers: [{name: a, resources: {requests: {cpu: 1}}}]`,
			`containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}, {name: b}]`,
			`containers: [{name: a, resources: {limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 1}}}]`},
		corev1.PodQOSGuaranteed: {`containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]`,
			`{containers: [{name: a}], resources: {limits: {cpu: 1, memory: 1Gi}}}`},
	} {
		for _, text := range spec {
			s := fromYAML[corev1.PodSpec](t, text)
			setPodDefaults(s)
			if got := qosClass(s); got != want {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
		}
	}
}

func TestNamesAreStableAndValid(t *testing.T) {
	long := strings.Repeat("a", 53) + "." + strings.Repeat("b", 199)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]string{}
	for _, ds := range []string{"a", "agent", "a.b-c", long, strings.Repeat("x", 253), strings.Repeat("a", 52) + "--b"} {
		for _, id := range [][4]string{{"d1", "n1", "r1", "0"}, {"d1", "n1", "r1", "1"}, {"d1", "n1", "r2", "0"},
			{"d1", "n2", "r1", "0"}, {"d2", "n1", "r1", "0"}, {"d1n", "1", "r1", "0"}} {
			attempt := int(id[3][0] - '0')
			name := Name(ds, "d1", "n1", "r1", 0)
			if name != Name(ds, "d1", "n1", "r1", 0) {
				t.Fatal("the name changes between calls")
			}
			dsUID, nodeUID := types.UID(id[0]), types.UID(id[1])
			name = Name(ds, dsUID, nodeUID, id[2], attempt)
			if why := validation.IsDNS1123Subdomain(name); why != nil || len(name) > 63 {
				t.Errorf("%q is no pod name: %v", name, why)
			}
			uid := string(UID(dsUID, nodeUID, id[2], attempt))
			if !uuid.MatchString(uid) {
				t.Errorf("%q is no version 8 UUID", uid)
			}
			key := strings.Join(id[:], "/")
			if was, ok := seen[uid]; ok && was != key {
				t.Errorf("%s and %s share the uid %s", was, key, uid)
			}
			seen[uid] = key
			if was, ok := seen[name]; ok {
				t.Errorf("%s and %s share the name %s", was, key, name)
			}
			seen[name] = ds + " " + key
		}
	}
}

// The wire format of identities: another result would create every pod again.
func TestIdentitiesNeverChange(t *testing.T) {
	got := strings.Join([]string{
		Name("agent", "ds", "node", "rev", 1),
		string(UID("ds", "node", "rev", 1)),
		Hash("digest", 0), Hash("digest", 1),
	}, "\n")
	if want := goldenIdentities; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The pod survives JSON, and so the API.
func TestNewIsWhole(t *testing.T) {
	ds := daemonSet(t)
	SetDaemonSetDefaults(ds)
	pod := New(ds, &ds.Spec.Template, create, time.Unix(1e9, 0))
	data, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	var back corev1.Pod
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(&back)
	if err != nil || string(again) != string(data) {
		t.Errorf("%v\n%s\n%s", err, data, again)
	}
}

const goldenIdentities = `agent-8zdg2wnr
4301f406-af50-8399-9812-698e2e2dee60
ktzs8bcxjl
ps9pdc4zts`
