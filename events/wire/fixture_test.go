package wire_test

import (
	"encoding/json"
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// fluentd returns a pod as an API server holds it, with status and managedFields.
func fluentd(t testing.TB) *corev1.Pod {
	t.Helper()
	p := new(corev1.Pod)
	fixture(t, "testdata/fluentd.yaml", p)
	return p
}

func fixture(t testing.TB, file string, into any) {
	t.Helper()
	y, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(y, into); err != nil {
		t.Fatal(err)
	}
}

// revision returns the revision of a DaemonSet, whose data is raw JSON.
func revision(t testing.TB) *appsv1.ControllerRevision {
	t.Helper()
	p := fluentd(t)
	j, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{
		"$patch": "replace", "metadata": map[string]any{"labels": p.Labels}, "spec": p.Spec}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &appsv1.ControllerRevision{Revision: 3}
	r.Name, r.Namespace = "fluentd-6d4c9b7f8", "logging"
	r.Data.Raw = j
	return r
}
