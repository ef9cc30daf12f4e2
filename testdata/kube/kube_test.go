package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// all are the controllers that have to do with DaemonSets and what becomes of them.
const (
	all    = own + "," + others
	own    = "daemonset-controller"
	others = "disruption-controller,garbage-collector-controller,namespace-controller,pod-garbage-collector-controller,serviceaccount-controller"
)

const space = "default"

// daemonSet makes a DaemonSet, as it is usual or changed.
func (c *cluster) daemonSet(name string, changed ...func(*appsv1.DaemonSet)) {
	c.Helper()
	labels := map[string]string{"app": name}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "main:1"}}}}}}
	for _, change := range changed {
		change(ds)
	}
	if _, err := c.client.AppsV1().DaemonSets(space).Create(c.Context(), ds, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
}

// image gives a DaemonSet another image.
func (c *cluster) image(name, image string) {
	c.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, image)
	if _, err := c.client.AppsV1().DaemonSets(space).Patch(c.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		c.Fatal(err)
	}
}

// rolledOut waits until a DaemonSet has what it wants on so many nodes.
func (c *cluster) rolledOut(name string, nodes int32) {
	c.Helper()
	c.until(fmt.Sprintf("%s is rolled out on %d nodes", name, nodes), func(ctx context.Context) (bool, error) {
		ds, err := c.client.AppsV1().DaemonSets(space).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		s := ds.Status
		return s.ObservedGeneration == ds.Generation && s.DesiredNumberScheduled == nodes && s.UpdatedNumberScheduled == nodes && s.NumberAvailable == nodes && s.CurrentNumberScheduled == nodes, nil
	})
}

// granted is the kubeconfig of an account with the rights of a mode as deploy has them,
// and none besides.
func (c *cluster) granted(mode string) string {
	c.Helper()
	c.kubectl("apply", "-f", "../../deploy/rbac-"+mode+".yaml")
	return c.account("rollcall")
}

// kubectl runs kubectl as the cluster's administrator.
func (c *cluster) kubectl(args ...string) string {
	c.Helper()
	code, said := runs(c.T, append([]string{"kubectl", "--kubeconfig", c.kubeconfig("admin", c.admin)}, args...)...)
	if code != 0 {
		c.Fatalf("kubectl %v, exit code %d:\n%s", args, code, said)
	}
	return said
}

// account is the kubeconfig of an account of kube-system.
func (c *cluster) account(name string) string {
	c.Helper()
	token, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).CreateToken(c.Context(), name, &authv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	as := rest.AnonymousClientConfig(c.admin)
	as.BearerToken = token.Status.Token
	return c.kubeconfig(name, as)
}

// record starts to record the cluster, and waits until all that is there is recorded.
func (c *cluster) record(kubeconfig, data string) *process {
	c.Helper()
	p := start(c.T, *rollcall, "connect", "--shadow", "--kubeconfig", kubeconfig, "--data", data)
	p.sees("the log has what the cluster has")
	return p
}

// follow waits until the log of a record says something.
func (c *cluster) follow(data, what string) {
	c.Helper()
	c.until("the record says "+what, func(context.Context) (bool, error) {
		_, said := runs(c.T, "log", "--data", data)
		return strings.Contains(said, what), nil
	})
}

// diverged is what diverge says of a record.
type diverged struct {
	Acts, Agreed, NotSeen int
	Divergences, All      []struct{ Class, Do, Object, Node, By, Due string }
}

// diverge compares a record, in which nothing may diverge.
func (c *cluster) diverge(data string) (d diverged) {
	c.Helper()
	code, said := runs(c.T, "diverge", "--data", data, "--all", "-o", "json")
	var answer struct{ Items []diverged }
	if err := json.Unmarshal([]byte(said), &answer); err != nil || len(answer.Items) != 1 {
		c.Fatalf("diverge, exit code %d: %v:\n%s", code, err, said)
	}
	d = answer.Items[0]
	if code != 0 || len(d.Divergences) > 0 {
		c.Errorf("diverge, exit code %d: %+v", code, d.Divergences)
	}
	return d
}

// TestShadow: with the rights of deploy/rbac-shadow.yaml and none besides a cluster is
// recorded through roll-outs, orphans, and a node that goes; and of what its own
// DaemonSet controller did there is nothing that rollcall would not have done.
func TestShadow(t *testing.T) {
	c := newCluster(t)
	c.controllers(all)
	c.kubelets()
	for i := range 4 {
		c.node(fmt.Sprint("n", i))
	}
	data := filepath.Join(t.TempDir(), "record")
	rec := c.record(c.granted("shadow"), data)
	t.Cleanup(func() {
		if t.Failed() {
			_, said := runs(t, "log", "--data", data)
			t.Logf("rollcall connect --shadow:\n%s\nand its log:\n%s", rec.output(), said)
		}
	})
	c.daemonSet("agent")
	c.rolledOut("agent", 4)
	c.image("agent", "main:2")
	c.rolledOut("agent", 4)
	pods, err := c.client.CoreV1().Pods(space).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 4 {
		t.Fatalf("%d pods, %v", len(pods.Items), err)
	}
	if err := c.client.CoreV1().Pods(space).Delete(t.Context(), pods.Items[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the pod that a user has deleted is made again", func(ctx context.Context) (bool, error) {
		now, err := c.client.CoreV1().Pods(space).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, p := range now.Items {
			if p.UID == pods.Items[0].UID {
				return false, nil
			}
		}
		return len(now.Items) == 4, nil
	})
	c.rolledOut("agent", 4)
	orphan := metav1.DeletePropagationOrphan
	if err := c.client.AppsV1().DaemonSets(space).Delete(t.Context(), "agent", metav1.DeleteOptions{PropagationPolicy: &orphan}); err != nil {
		t.Fatal(err)
	}
	c.until("agent is gone", func(ctx context.Context) (bool, error) {
		_, err := c.client.AppsV1().DaemonSets(space).Get(ctx, "agent", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	c.daemonSet("agent")
	c.image("agent", "main:3")
	c.image("agent", "main:4") // a template of a number that no pod of before has: those of the same are new to its controller
	c.rolledOut("agent", 4)
	if err := c.client.CoreV1().Nodes().Delete(t.Context(), "n3", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.rolledOut("agent", 3)
	c.follow(data, "desired 4→3")
	d := c.diverge(data) // beside the recorder
	by := map[string]int{}
	for _, a := range d.All {
		by[a.Class+" "+a.Do]++
	}
	t.Logf("%d acts, %d agreed: %v", d.Acts, d.Agreed, by)
	if d.Agreed < 12 || by["foreign DeletePod"] < 1 {
		t.Errorf("%d agreed, %v: less than was done", d.Agreed, by)
	}
	rec.end()
	if again := c.diverge(data); again.Acts < d.Acts {
		t.Errorf("%d acts when it has stopped, and %d before", again.Acts, d.Acts)
	}
}

// TestRestored: a record goes on over restarts of the API server, tells what was missed,
// and stops where the store was put back to an earlier time.
func TestRestored(t *testing.T) {
	c := newCluster(t)
	for i := range 3 {
		c.node(fmt.Sprint("n", i))
	}
	data, etcd := filepath.Join(t.TempDir(), "record"), filepath.Join(c.dir, "etcd")
	admin := c.kubeconfig("admin", c.admin)
	rec := c.record(admin, data)
	c.stop()
	backup := filepath.Join(c.dir, "backup")
	if out, err := exec.Command("cp", "-a", etcd, backup).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.serve()
	if err := c.client.CoreV1().Nodes().Delete(t.Context(), "n2", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the record knows that n2 is gone", func(context.Context) (bool, error) {
		_, said := runs(t, "log", "--data", data, "--type", "node.deleted")
		return strings.Contains(said, "node/n2"), nil
	})
	rec.end()
	if err := c.client.CoreV1().Nodes().Delete(t.Context(), "n1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if code, said := runs(t, "connect", "--shadow", "--kubeconfig", admin, "--data", data, "--once"); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	if _, said := runs(t, "log", "--data", data, "--type", "node.deleted"); !strings.Contains(said, "node/n1") {
		t.Errorf("what went while nobody recorded is not told:\n%s", said)
	}
	c.stop()
	if err := os.RemoveAll(etcd); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, etcd); err != nil {
		t.Fatal(err)
	}
	c.serve()
	if code, said := runs(t, "connect", "--shadow", "--kubeconfig", admin, "--data", data, "--once"); code != 3 || !strings.Contains(said, "E-KUBE-REWOUND") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	if code, said := runs(t, "connect", "--shadow", "--kubeconfig", admin, "--data", data, "--once", "--accept-rewind"); code != 0 {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	if _, said := runs(t, "kubectl", "--data", data, "--at", "now", "get", "nodes"); strings.Count(said, "Ready") != 3 {
		t.Errorf("of the store that was put back, the record has:\n%s", said)
	}
}

// TestHeartbeats: a thousand nodes that say only that they are there are no facts.
func TestHeartbeats(t *testing.T) {
	c := newCluster(t)
	const nodes = 1000
	each(nodes, func(i int) { c.node(fmt.Sprint("n", i)) })
	data := filepath.Join(t.TempDir(), "record")
	rec := c.record(c.kubeconfig("admin", c.admin), data)
	facts := func() int {
		_, said := runs(t, "log", "--data", data, "-o", "jsonl", "--type", "node.*")
		return strings.Count(said, "\n")
	}
	if n := facts(); n != nodes {
		t.Fatalf("%d facts of %d nodes", n, nodes)
	}
	list, err := c.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	each(nodes, func(i int) { c.beats(&list.Items[i], time.Now().Add(10*time.Second)) })
	if err := c.client.CoreV1().Nodes().Delete(t.Context(), "n0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.follow(data, "node.deleted") // it comes after all heartbeats, by the same watch
	if n := facts(); n != nodes+1 {
		t.Errorf("%d facts of %d nodes after a heartbeat of each, and a deletion", n, nodes)
	}
	rec.end()
}

// TestRefused: what cannot be recorded is refused in one line, and nothing is left.
func TestRefused(t *testing.T) {
	c := newCluster(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "<html>log in</html>") }))
	defer page.Close()
	if _, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	admin := c.kubeconfig("admin", c.admin)
	expired := rest.CopyConfig(c.admin)
	expired.BearerToken = "expired"
	other := filepath.Join(t.TempDir(), "other")
	up := start(t, *rollcall, "up", "--nodes", "1", "--data", other)
	up.sees("export KUBECONFIG=")
	mine := filepath.Join(t.TempDir(), "mine")
	if code, said := runs(t, "connect", "--shadow", "--kubeconfig", filepath.Join(other, "kubeconfig"), "--data", mine, "--once"); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	up.end()
	for code, x := range map[string]struct {
		exit int
		args []string
	}{
		"E-KUBE-CLUSTER":   {2, []string{"--kubeconfig", admin, "--data", mine}},
		"E-KUBE-USER":      {2, []string{"--kubeconfig", c.kubeconfig("expired", expired)}},
		"E-KUBE-FORBIDDEN": {2, []string{"--kubeconfig", c.account("nobody")}},
		"E-KUBE-ANSWER":    {2, []string{"--kubeconfig", c.kubeconfig("page", &rest.Config{Host: page.URL})}},
		"E-KUBE-CONFIG":    {2, []string{"--kubeconfig", admin, "--context", "none"}},
	} {
		left := filepath.Join(t.TempDir(), "left")
		args := append([]string{"connect", "--shadow", "--once"}, x.args...)
		if code != "E-KUBE-CLUSTER" {
			args = append(args, "--data", left)
		}
		exit, said := runs(t, args...)
		if exit != x.exit || !strings.HasPrefix(said, "error: "+code+": ") || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: exit code %d, want %d:\n%s", code, exit, x.exit, said)
		}
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s leaves %s", code, left)
		}
	}
}
