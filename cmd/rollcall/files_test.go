package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/publisher/manifest"
	"rollcall/testdata/manifests"
)

// TestAnnotated: only DaemonSets without the annotation get it, and nothing
// else changes, however the manifest is written.
func TestAnnotated(t *testing.T) {
	const rest = `
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec: {containers: [{name: main, image: "a:1"}]}
`
	const head = "apiVersion: apps/v1\nkind: DaemonSet\n"
	for name, c := range map[string]struct{ text, want string }{
		"none":      {head + "metadata:\n  name: a" + rest, "9"},
		"flow":      {head + "metadata: {name: a}" + rest, "9"},
		"empty":     {head + "metadata: {name: a, annotations: {}}" + rest, "9"},
		"null":      {head + "metadata:\n  name: a\n  annotations:" + rest, "9"},
		"other":     {head + "metadata:\n  name: a\n  annotations: {x: z}" + rest, "9"},
		"own":       {head + "metadata:\n  name: a\n  annotations: {rollcall/progress-deadline-seconds: \"5\"}" + rest, "5"},
		"JSON":      {`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"main","image":"a:1"}]}}}}`, "9"},
		"later":     {"---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n" + head + "metadata: {name: a}" + rest, "9"},
		"namespace": {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n", ""},
	} {
		data, err := annotated([]byte(c.text), map[string]string{events.AnnotationDeadline: "9"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		before, after := parse(t, name, c.text), parse(t, name, string(data))
		if len(before) != len(after) {
			t.Fatalf("%s: %d documents became %d:\n%s", name, len(before), len(after), data)
		}
		last := after[len(after)-1].Object
		if got := last.GetAnnotations()[events.AnnotationDeadline]; got != c.want {
			t.Errorf("%s: annotation %q, want %q:\n%s", name, got, c.want, data)
		}
		if ds, ok := last.(*appsv1.DaemonSet); ok && ds.Spec.Template.Spec.Containers[0].Image != "a:1" {
			t.Errorf("%s: the template has changed:\n%s", name, data)
		}
	}
}

func parse(t *testing.T, name, text string) []manifest.Document {
	t.Helper()
	docs, err := manifest.Parse(name, []byte(text))
	if err != nil {
		t.Fatalf("%s: %v in\n%s", name, err, text)
	}
	return docs
}

// TestStall: a rollout is stalled when its condition says so and this run has
// given it its time: the condition may be of a run before.
func TestStall(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	set := func(progress time.Duration, status corev1.ConditionStatus) *projector.DaemonSet {
		return &projector.DaemonSet{Progress: start.Add(progress), Settings: events.Settings{Deadline: time.Minute},
			Object: &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{Conditions: []appsv1.DaemonSetCondition{
				{Type: controller.ConditionStalled, Status: status, Message: "1 nodes: n1 (no pod)"}}}}}
	}
	for name, c := range map[string]struct {
		ds   *projector.DaemonSet
		now  time.Duration
		want bool
	}{
		"of a run before":  {set(-time.Hour, corev1.ConditionTrue), 59 * time.Second, false},
		"had its time":     {set(-time.Hour, corev1.ConditionTrue), time.Minute, true},
		"moved since":      {set(30*time.Second, corev1.ConditionTrue), time.Minute, false},
		"not said to be":   {set(-time.Hour, corev1.ConditionFalse), time.Hour, false},
		"long after moved": {set(30*time.Second, corev1.ConditionTrue), 90 * time.Second, true},
	} {
		if why := stall(c.ds, start, start.Add(c.now)); (why != "") != c.want {
			t.Errorf("%s: stalled %q, want %v", name, why, c.want)
		}
	}
}

// TestManifestsInside: every manifest of testdata/manifests is in the program,
// and it is said what it shows.
//
// finding U2
func TestManifestsInside(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "manifests", "*.yaml"))
	if err != nil || len(files) < 5 || len(files) != len(manifests.Names()) {
		t.Errorf("%d files, %v; in the program are %v", len(files), err, manifests.Names())
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := manifests.Read(name); !ok || !bytes.Equal(data, want) {
			t.Errorf("%s is not in the program as it is on the disk", name)
		}
		if manifests.About(name) == "" {
			t.Errorf("nothing is said of %s", name)
		}
	}
	if _, ok := manifests.Read("../manifests/nginx"); ok {
		t.Error("a name is a path")
	}
}
