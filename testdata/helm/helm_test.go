package helm

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	namespace = "shop"
	first     = "registry.example/agent:1"
	second    = "registry.example/agent:2"
)

// cluster is a running rollcall, and Helm that talks to it.
type cluster struct {
	running
	client kubernetes.Interface
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{running: start(t)}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRelease takes a chart through its life. Each step waits as Helm does, and
// what it waited for has to be so when it returns.
func TestRelease(t *testing.T) {
	c := newCluster(t)
	c.helm(t, "install", "agent", "agent", "--create-namespace", "--wait", "--timeout", "3m")
	c.rolledOut(t, first)
	if m := c.config(t); m.Data["level"] != "info" {
		t.Errorf("installed with %v", m.Data)
	}
	c.helm(t, "upgrade", "agent", "agent", "--set", "image="+second, "--set", "level=debug", "--wait", "--timeout", "3m")
	c.rolledOut(t, second)
	if m := c.config(t); m.Data["level"] != "debug" {
		t.Errorf("upgraded to %v", m.Data)
	}
	c.helm(t, "rollback", "agent", "1", "--wait", "--timeout", "3m")
	c.rolledOut(t, first)
	if m := c.config(t); m.Data["level"] != "info" {
		t.Errorf("rolled back to %v", m.Data)
	}
	c.history(t)
	c.helm(t, "uninstall", "agent", "--wait", "--timeout", "3m")
	c.nothingLeft(t)
	c.inLog(t)
}

// rolledOut checks that every worker has a ready pod of an image and nothing else.
func (c *cluster) rolledOut(t *testing.T, image string) {
	t.Helper()
	ds, err := c.client.AppsV1().DaemonSets(namespace).Get(t.Context(), "agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := appsv1.DaemonSetStatus{DesiredNumberScheduled: workers, CurrentNumberScheduled: workers, NumberReady: workers,
		NumberAvailable: workers, UpdatedNumberScheduled: workers, ObservedGeneration: ds.Generation}
	got := ds.Status
	got.Conditions, got.CollisionCount = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("status %+v, want %+v", got, want)
	}
	pods, err := c.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=agent"})
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]bool{}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil {
			continue // its successor is there
		}
		on[p.Spec.NodeName] = true
		if got := p.Spec.Containers[0].Image; got != image || p.Spec.ServiceAccountName != "agent" {
			t.Errorf("pod %s runs %s as %s, want %s as agent", p.Name, got, p.Spec.ServiceAccountName, image)
		}
	}
	if len(on) != workers {
		t.Errorf("pods on %v, want %d nodes", on, workers)
	}
}

func (c *cluster) config(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	m, err := c.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (c *cluster) history(t *testing.T) {
	t.Helper()
	var got []struct {
		Revision            int
		Status, Description string
	}
	if err := json.Unmarshal([]byte(c.helm(t, "history", "agent", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range got {
		lines = append(lines, r.Status+": "+r.Description)
	}
	if want := []string{"superseded: Install complete", "superseded: Upgrade complete", "deployed: Rollback to 1"}; !slices.Equal(lines, want) {
		t.Errorf("history %q, want %q", lines, want)
	}
}

func (c *cluster) nothingLeft(t *testing.T) {
	t.Helper()
	_, set := c.client.AppsV1().DaemonSets(namespace).Get(t.Context(), "agent", metav1.GetOptions{})
	_, config := c.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "agent", metav1.GetOptions{})
	_, account := c.client.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "agent", metav1.GetOptions{})
	for _, err := range []error{set, config, account} {
		if !apierrors.IsNotFound(err) {
			t.Errorf("after uninstall: %v", err)
		}
	}
	secrets, err := c.client.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(secrets.Items) > 0 {
		t.Errorf("after uninstall %d secrets are left, %v", len(secrets.Items), err)
	}
}

// story is what the log tells of TestRelease, in this order, among other lines.
var story = []string{
	`namespace.created +ns/shop .* via helm`,
	`secret.created +secret/shop/sh.helm.release.v1.agent.v1 .* via Helm`,
	`configmap.created +configmap/shop/agent .* via helm`,
	`daemonset.created +ds/shop/agent .*image registry.example/agent:1.* via helm`,
	`daemonset.updated +ds/shop/agent .*RolledOut.* by controller`,
	`secret.created +secret/shop/sh.helm.release.v1.agent.v2 .* via Helm`,
	`configmap.updated +configmap/shop/agent +data.level info→debug .* via helm`,
	`daemonset.updated +ds/shop/agent +image 1→2.* via helm`,
	`daemonset.updated +ds/shop/agent .*RolledOut.* by controller`,
	`secret.created +secret/shop/sh.helm.release.v1.agent.v3 .* via Helm`,
	`daemonset.updated +ds/shop/agent +image 2→1.* via helm`,
	`daemonset.updated +ds/shop/agent .*RolledOut.* by controller`,
	`daemonset.deleted +ds/shop/agent .* via Helm`,
	`secret.deleted +secret/shop/sh.helm.release.v1.agent.v3 .* via Helm`,
}

func (c *cluster) inLog(t *testing.T) {
	t.Helper()
	out, err := exec.Command(c.binary, "log", "--data", c.data).CombinedOutput()
	if err != nil {
		t.Fatalf("log: %v\n%s", err, out)
	}
	left := string(out)
	for _, s := range story {
		at := regexp.MustCompile(s).FindStringIndex(left)
		if at == nil {
			t.Fatalf("the log has no %q where it should come; all of it:\n%s", s, out)
		}
		left = left[at[1]:]
	}
}

// TestService: a release has its Service, and takes it away again.
func TestService(t *testing.T) {
	c := newCluster(t)
	c.helm(t, "install", "web", "service", "--create-namespace", "--wait", "--timeout", "3m")
	if list := c.helm(t, "list", "--short", "--deployed"); strings.TrimSpace(list) != "web" {
		t.Errorf("installed, and the releases are: %s", list)
	}
	c.helm(t, "uninstall", "web")
	if list := c.helm(t, "list", "--short"); list != "" {
		t.Errorf("uninstalled, and there are releases: %s", list)
	}
}
