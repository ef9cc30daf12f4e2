package helm

import (
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// The chart by which rollcall itself is installed is the directory of its plain files.
var (
	chart = filepath.Join("..", "..", "deploy")
	modes = []string{"shadow", "rollouts", "control"}
)

// modeHere marks the mode in what the kustomization says of others.
const modeHere = "#   "

// kustomized is what the plain files make for a mode, as the kustomization says it is
// asked for, in another namespace than kube-system.
func (c running) kustomized(t *testing.T, mode string) map[string]map[string]any {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"rollcall.yaml", "rbac-" + mode + ".yaml", "kustomization.yaml"} {
		text, err := os.ReadFile(filepath.Join(chart, name))
		if err != nil {
			t.Fatal(err)
		}
		is := strings.ReplaceAll(string(text), "namespace: kube-system", "namespace: "+namespace)
		if name == "kustomization.yaml" {
			is = strings.ReplaceAll(is, "rbac-shadow.yaml", "rbac-"+mode+".yaml")
			is = strings.ReplaceAll(strings.ReplaceAll(is, modeHere, ""), "--MODE", "--"+mode)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(is), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain, err := exec.Command(c.binary, "kubectl", "kustomize", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(plain))
}

// TestChart: the chart installs what the plain files do, in every mode, and an API server
// takes it.
func TestChart(t *testing.T) {
	c := newCluster(t)
	for _, mode := range modes {
		want, got := c.kustomized(t, mode), objects(t, c.helm(t, "template", "rollcall", chart, "--set", "mode="+mode))
		if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
			t.Fatalf("mode %s: the chart has %v, the files have %v", mode, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		for name, o := range want {
			if !reflect.DeepEqual(got[name], o) {
				t.Errorf("mode %s: %s of the chart:\n%v\nof the files:\n%v", mode, name, got[name], o)
			}
		}
	}
	templated := c.helm(t, "template", "rollcall", chart)
	file := filepath.Join(t.TempDir(), "rollcall.yaml")
	if err := os.WriteFile(file, []byte(templated), 0o600); err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "create", "namespace", namespace)
	c.kubectl(t, "apply", "-f", file)
	c.kubectl(t, "rollout", "status", "statefulset/rollcall", "-n", namespace, "--timeout", "1m")
	pod, err := c.client.CoreV1().Pods(namespace).Get(t.Context(), "rollcall-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Spec.ServiceAccountName != "rollcall" || !slices.Contains(pod.Spec.Containers[0].Args, "--shadow") {
		t.Errorf("the pod runs %v as %s", pod.Spec.Containers[0].Args, pod.Spec.ServiceAccountName)
	}
}

// TestChartValues: each mode brings its own rights, one that is not there is refused,
// and what a cluster may not have is asked for.
func TestChartValues(t *testing.T) {
	c := running{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	for _, mode := range modes {
		text := c.helm(t, "template", "rollcall", chart, "--set", "mode="+mode, "--set", "image.tag=v1", "--set", "storage.class=fast")
		for _, part := range []string{"name: rollcall-" + mode, "- --" + mode + "\n", "image: rollcall:v1", "storageClassName: fast"} {
			if !strings.Contains(text, part) {
				t.Errorf("mode %s: no %q", mode, part)
			}
		}
	}
	if out, err := c.tryHelm(t, "template", "rollcall", chart, "--set", "mode=banana"); err == nil || !strings.Contains(out, `mode "banana": there is no rbac-banana.yaml`) {
		t.Errorf("a mode that is not there: %v, %s", err, out)
	}
	all := objects(t, c.helm(t, "template", "rollcall", chart, "--set", "metrics.rules=true,metrics.monitor=true,metrics.dashboard=true"))
	for _, name := range []string{"ServiceMonitor/rollcall", "PrometheusRule/rollcall", "ConfigMap/rollcall-dashboard"} {
		if all[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	if groups, found, err := unstructured.NestedSlice(all["PrometheusRule/rollcall"], "spec", "groups"); err != nil || !found || len(groups) != 1 {
		t.Errorf("groups of rules: %v, %v", groups, err)
	}
}

// objects reads a stream of objects, by kind and name.
func objects(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		var o map[string]any
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if u := (unstructured.Unstructured{Object: o}); len(o) > 0 {
			all[u.GetKind()+"/"+u.GetName()] = o
		}
	}
}
