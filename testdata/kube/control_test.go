package kube

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// pods returns the pods of a DaemonSet that are not being deleted, by their nodes.
func (c *cluster) pods(name string) map[string]corev1.Pod {
	c.Helper()
	list, err := c.client.CoreV1().Pods(space).List(c.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		c.Fatal(err)
	}
	is := map[string]corev1.Pod{}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			is[pin(&p)] = p
		}
	}
	return is
}

// uids returns the uids of the pods of all DaemonSets that nobody has ended, and the names of
// their revisions.
func (c *cluster) uids() (all []string) {
	c.Helper()
	pods, err := c.client.CoreV1().Pods(space).List(c.Context(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	revisions, err := c.client.AppsV1().ControllerRevisions(space).List(c.Context(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil {
			all = append(all, p.Labels["app"]+" "+p.Name+" "+string(p.UID))
		}
	}
	for _, r := range revisions.Items {
		all = append(all, fmt.Sprint(r.Name, " ", r.UID, " ", r.Revision))
	}
	slices.Sort(all)
	return all
}

// same says that nothing has become of pods and revisions.
func (c *cluster) same(was []string, when string) {
	c.Helper()
	if is := c.uids(); !slices.Equal(is, was) {
		c.Errorf("%s there is\n%s\nand there was\n%s", when, strings.Join(is, "\n"), strings.Join(was, "\n"))
	}
}

// control starts to control the cluster.
func (c *cluster) control(kubeconfig, data string, args ...string) *process {
	c.Helper()
	p := start(c.T, *rollcall, append([]string{"connect", "--control", "--kubeconfig", kubeconfig, "--data", data}, args...)...)
	c.Cleanup(func() {
		if c.Failed() {
			c.Logf("rollcall connect --control:\n%s", p.output())
		}
	})
	p.sees("controlling the DaemonSets of the cluster")
	return p
}

// refuses sees that a cluster is not taken over, with a code.
func (c *cluster) refuses(kubeconfig, data, code string) {
	c.Helper()
	if exit, said := runs(c.T, "connect", "--control", "--kubeconfig", kubeconfig, "--data", data); exit != 3 || !strings.Contains(said, "error: "+code+": ") {
		c.Errorf("exit code %d, want 3 and %s:\n%s", exit, code, said)
	}
}

// count returns how many events of a type a log has.
func (c *cluster) count(data, typ string) int {
	c.Helper()
	code, said := runs(c.T, "log", "--data", data, "-o", "jsonl", "--type", typ)
	if code != 0 {
		c.Fatalf("exit code %d:\n%s", code, said)
	}
	return strings.Count(said, "\n")
}

// goes waits until a DaemonSet is gone.
func (c *cluster) goes(name string) {
	c.Helper()
	c.until(name+" is gone", func(ctx context.Context) (bool, error) {
		_, err := c.client.AppsV1().DaemonSets(space).Get(ctx, name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return false, err
		}
		return err != nil, nil
	})
}

func surge(ds *appsv1.DaemonSet) {
	one, none := intstr.FromInt32(1), intstr.FromInt32(0)
	ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxSurge: &one, MaxUnavailable: &none}}
}

func onDelete(ds *appsv1.DaemonSet) {
	ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
}

// TestControl: with the rights of deploy/rbac-control.yaml and none besides DaemonSets are
// taken over from the cluster's own controller, led through all that becomes of them, and
// handed back, and neither end of it makes or ends a pod or a revision.
func TestControl(t *testing.T) {
	c := newCluster(t)
	kcm := c.controllers(all)
	c.kubelets()
	for i := range 3 {
		c.node(fmt.Sprint("n", i))
	}
	account, data := c.granted("control"), filepath.Join(t.TempDir(), "control")
	c.daemonSet("agent")
	c.daemonSet("spare", surge)
	c.rolledOut("agent", 3)
	c.rolledOut("spare", 3)
	c.image("agent", "main:2")
	c.rolledOut("agent", 3)
	was := c.uids()
	c.refuses(account, data, "E-KUBE-RIVAL")
	kcm.end()
	kcm = c.controllers(others)
	c.image("agent", "main:1")
	c.refuses(account, data, "E-KUBE-TAKEOVER")
	c.image("agent", "main:2")
	c.same(was, "after two take-overs that were refused")

	us := c.control(account, data)
	c.rolledOut("agent", 3)
	c.same(was, "after the take-over")
	if n := c.count(data, "daemonset.planned"); n > 0 {
		t.Errorf("taking over took %d plans", n)
	}
	c.led()
	was = c.uids()
	us.end()
	if code, said := runs(t, "verify", "--data", data); code != 0 {
		t.Errorf("verify, exit code %d:\n%s", code, said)
	}
	us = c.control(account, data)
	c.same(was, "after another start")
	us.end()

	if code, said := runs(t, "release", "--kubeconfig", account, "--data", data); code != 0 {
		t.Fatalf("release, exit code %d:\n%s", code, said)
	}
	kcm.end()
	kcm = c.controllers(all)
	c.image("spare", "main:9")
	c.rolledOut("spare", 3)
	now := c.uids()
	drop := func(all []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.HasPrefix(s, "spare") })
	}
	if !slices.Equal(drop(now), drop(was)) {
		t.Errorf("when it was handed back there is\n%s\nand there was\n%s", strings.Join(now, "\n"), strings.Join(was, "\n"))
	}
	kcm.end()
}

// led leads DaemonSets through all that becomes of them.
func (c *cluster) led() {
	c.Helper()
	c.image("agent", "main:3")
	c.rolledOut("agent", 3)
	c.kubectl("rollout", "undo", "ds/agent", "-n", space)
	c.kubectl("rollout", "status", "ds/agent", "-n", space, "--timeout=2m")
	c.rolledOut("agent", 3)
	for node, p := range c.pods("agent") {
		if p.Spec.Containers[0].Image != "main:2" {
			c.Errorf("on %s is %s after the undoing", node, p.Spec.Containers[0].Image)
		}
	}
	c.kubectl("rollout", "restart", "ds/spare", "-n", space)
	c.rolledOut("spare", 3)

	c.daemonSet("manual", onDelete)
	c.rolledOut("manual", 3)
	c.image("manual", "main:2")
	was := c.pods("manual")
	c.until("manual is seen", func(ctx context.Context) (bool, error) {
		ds, err := c.client.AppsV1().DaemonSets(space).Get(ctx, "manual", metav1.GetOptions{})
		return err == nil && ds.Status.ObservedGeneration == ds.Generation && ds.Status.UpdatedNumberScheduled == 0, err
	})
	failed := was["n1"]
	if _, err := c.client.CoreV1().Pods(space).Patch(c.Context(), failed.Name, types.MergePatchType, []byte(`{"status":{"phase":"Failed"}}`), metav1.PatchOptions{}, "status"); err != nil {
		c.Fatal(err)
	}
	c.until("the pod that has failed is made again", func(context.Context) (bool, error) {
		p := c.pods("manual")["n1"]
		return p.UID != failed.UID && p.Status.Phase == corev1.PodRunning && p.Spec.Containers[0].Image == "main:2", nil
	})
	if is := c.pods("manual"); is["n0"].UID != was["n0"].UID || is["n2"].UID != was["n2"].UID {
		c.Errorf("of OnDelete there is %v, and there was %v", slices.Collect(maps.Keys(is)), slices.Collect(maps.Keys(was)))
	}

	orphan := metav1.DeletePropagationOrphan
	was = c.pods("spare")
	if err := c.client.AppsV1().DaemonSets(space).Delete(c.Context(), "spare", metav1.DeleteOptions{PropagationPolicy: &orphan}); err != nil {
		c.Fatal(err)
	}
	c.goes("spare")
	c.daemonSet("spare", surge)
	c.until("orphans are adopted", func(ctx context.Context) (bool, error) {
		ds, err := c.client.AppsV1().DaemonSets(space).Get(ctx, "spare", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		n := 0
		for _, p := range c.pods("spare") {
			if metav1.IsControlledBy(&p, ds) {
				n++
			}
		}
		return n == 3, nil
	})
	c.rolledOut("spare", 3)

	if err := c.client.AppsV1().DaemonSets(space).Delete(c.Context(), "manual", metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
	c.goes("manual")
	c.until("the pods of manual are gone", func(context.Context) (bool, error) { return len(c.pods("manual")) == 0, nil })
	c.node("n3")
	c.rolledOut("agent", 4)
	if err := c.client.CoreV1().Nodes().Delete(c.Context(), "n3", metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
	c.rolledOut("agent", 3)
	c.until("the pods of n3 are gone", func(context.Context) (bool, error) { _, is := c.pods("agent")["n3"]; return !is, nil })
	c.rolledOut("spare", 3)
}

// TestRival: as soon as the cluster's own controller is there again, nothing more is done.
func TestRival(t *testing.T) {
	c := newCluster(t)
	kcm := c.controllers(others)
	c.kubelets()
	for i := range 2 {
		c.node(fmt.Sprint("n", i))
	}
	account, data := c.granted("control"), filepath.Join(t.TempDir(), "control")
	us := c.control(account, data)
	c.daemonSet("agent")
	c.rolledOut("agent", 2)
	was := c.uids()
	kcm.end()
	c.controllers(all)
	for i := 0; !us.ended(); i++ { // it is there a while later, and may find that all is done
		name := fmt.Sprint("other-", i)
		c.daemonSet(name)
		c.rolledOut(name, 2)
	}
	if code := us.wait(); code != 3 || !strings.Contains(us.output(), "E-KUBE-RIVAL") {
		t.Errorf("exit code %d:\n%s", code, us.output())
	}
	c.rolledOut("agent", 2)
	is := c.uids()
	if !slices.Equal(slices.DeleteFunc(is, func(s string) bool { return strings.HasPrefix(s, "other") }), was) {
		t.Errorf("there is\n%s\nand there was\n%s", strings.Join(is, "\n"), strings.Join(was, "\n"))
	}
	if code, said := runs(t, "verify", "--data", data); code != 0 {
		t.Errorf("verify, exit code %d:\n%s", code, said)
	}
}
