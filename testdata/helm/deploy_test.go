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
	for set, says := range map[string]string{
		"mode=banana":             `mode "banana": there is no rbac-banana.yaml`,
		"imag.tag=v1":             "additional properties 'imag' not allowed",
		"image.repository=":       "at '/image/repository'",
		"args=--once":             "at '/args': got string, want array",
		"args[0]=once":            "at '/args/0'",
		"tolerations.key=a":       "at '/tolerations'",
		"nodeSelector.x=true":     "at '/nodeSelector/x': got boolean, want string",
		"storage.size=much":       "at '/storage/size'",
		"metrics.monitor=no":      "at '/metrics/monitor': got string, want boolean",
		"image.tag=20261128":      "at '/image/tag'", // a number that YAML and templates write in another way
		"image.pullSecrets[0]=me": "at '/image/pullSecrets/0'",
	} {
		if out, err := c.tryHelm(t, "template", "rollcall", chart, "--set", set); err == nil || !strings.Contains(out, says) {
			t.Errorf("%s: %v, %s; want %q", set, err, out, says)
		}
	}
	all := objects(t, c.helm(t, "template", "rollcall", chart, "--set", "metrics.rules=true,metrics.monitor=true,metrics.dashboard=true,metrics.labels.release=prometheus"))
	for _, name := range []string{"ServiceMonitor/rollcall", "PrometheusRule/rollcall", "ConfigMap/rollcall-dashboard"} {
		if o := (&unstructured.Unstructured{Object: all[name]}); all[name] == nil || o.GetLabels()["release"] != "prometheus" || len(o.GetLabels()) != 2 {
			t.Errorf("%s has labels %v", name, o.GetLabels())
		}
	}
	if groups, found, err := unstructured.NestedSlice(all["PrometheusRule/rollcall"], "spec", "groups"); err != nil || !found || len(groups) != 1 {
		t.Errorf("groups of rules: %v, %v", groups, err)
	}
}

// TestChartMends: a pod that cannot start does not keep what can from its place.
func TestChartMends(t *testing.T) {
	c := newCluster(t)
	c.helm(t, "install", "rollcall", chart, "--create-namespace", "--wait", "--timeout", "3m")
	c.helm(t, "upgrade", "rollcall", chart, "--set", "image.repository=registry.invalid/rollcall")
	c.kubectl(t, "wait", "pod/rollcall-0", "-n", namespace, "--for", "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff", "--timeout", "1m")
	c.helm(t, "rollback", "rollcall", "1", "--wait", "--timeout", "1m")
	pod, err := c.client.CoreV1().Pods(namespace).Get(t.Context(), "rollcall-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if image := pod.Spec.Containers[0].Image; image != "rollcall:latest" {
		t.Errorf("rolled back, the pod runs %s", image)
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
