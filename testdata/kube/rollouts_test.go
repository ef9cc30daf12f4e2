package kube

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// says waits until a command of rollcall on a log says something.
func (c *cluster) says(what string, args ...string) {
	c.Helper()
	last := ""
	c.T.Cleanup(func() {
		if c.Failed() {
			c.Logf("rollcall %v said last:\n%s", args, last)
		}
	})
	c.until(fmt.Sprintf("rollcall %v says %q", args, what), func(context.Context) (bool, error) {
		_, last = runs(c.T, args...)
		return strings.Contains(last, what), nil
	})
}

// updated waits until so many pods of a DaemonSet are of its revision, and all of them
// are there, and returns on which nodes they are.
func (c *cluster) updated(name, image string, n int) (nodes []string) {
	c.Helper()
	c.until(fmt.Sprintf("%d pods of %s have %s", n, name, image), func(ctx context.Context) (bool, error) {
		ds, err := c.client.AppsV1().DaemonSets(space).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		nodes = nil
		for node, p := range c.pods(name) {
			if p.Spec.Containers[0].Image == image {
				nodes = append(nodes, node)
			}
		}
		s := ds.Status
		return len(nodes) == n && s.ObservedGeneration == ds.Generation && s.NumberAvailable == s.DesiredNumberScheduled && int(s.UpdatedNumberScheduled) == n, nil
	})
	return nodes
}

// rolling is a cluster with three DaemonSets on four nodes, of which one asks for rollouts.
type rolling struct {
	*cluster
	data string
}

// why waits until why-not says something of that one.
func (r *rolling) why(says string) {
	r.Helper()
	r.says(says, "why-not", "ds/agent", "-n", space, "--data", r.data)
}

func (r *rolling) annotate(what ...string) {
	r.Helper()
	r.kubectl(append([]string{"annotate", "ds/agent", "-n", space, "--overwrite"}, what...)...)
}

// TestRollouts: with the rights of deploy/rbac-rollouts.yaml and none besides old pods of
// an OnDelete DaemonSet that asks for it are evicted, as its budget, its annotations and
// the PodDisruptionBudgets of the cluster have it, and the cluster's own controller makes
// the new ones. Other DaemonSets are left to it.
func TestRollouts(t *testing.T) {
	r := &rolling{newCluster(t), filepath.Join(t.TempDir(), "rollouts")}
	r.controllers(all)
	r.kubelets()
	for i := range 4 {
		r.node(fmt.Sprint("n", i))
	}
	r.daemonSet("agent", onDelete, func(ds *appsv1.DaemonSet) {
		ds.Annotations = map[string]string{"rollcall/rollout": `{"maxUnavailable":1}`}
	})
	r.daemonSet("other")
	r.daemonSet("manual", onDelete)
	for _, name := range []string{"agent", "other", "manual"} {
		r.rolledOut(name, 4)
	}
	p := start(t, *rollcall, "connect", "--rollouts", "--kubeconfig", r.granted("rollouts"), "--data", r.data)
	p.sees("evicts old pods of OnDelete DaemonSets")
	p.sees("the log has what the cluster has")
	manual := r.pods("manual")
	r.image("manual", "main:2")
	r.image("other", "main:2")
	r.image("agent", "main:2")
	r.updated("agent", "main:2", 4)
	r.rolledOut("other", 4)
	r.disrupted()
	r.annotated()
	for node, was := range manual {
		if is := r.pods("manual")[node]; is.UID != was.UID {
			t.Errorf("the pod of manual on %s, which asks for nothing, is another", node)
		}
	}
	if _, said := runs(t, "log", "--data", r.data, "--type", "daemonset.planned", "-o", "jsonl"); strings.Contains(said, `"CreatePod"`) || strings.Contains(said, "default/other") {
		t.Errorf("more was planned than what agent asks for:\n%s", said)
	}
	p.end()
	if code, said := runs(t, "verify", "--data", r.data); code != 0 {
		t.Errorf("verify, exit code %d:\n%s", code, said)
	}
}

// disrupted rolls out while a PodDisruptionBudget lets no pod go, which is told, and goes on
// when it is gone.
func (r *rolling) disrupted() {
	r.Helper()
	all := intstr.FromInt32(4)
	budgets := r.client.PolicyV1().PodDisruptionBudgets(space)
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "keep-agents"},
		Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &all, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}}}
	if _, err := budgets.Create(r.Context(), budget, metav1.CreateOptions{}); err != nil {
		r.Fatal(err)
	}
	r.until("the budget counts", func(ctx context.Context) (bool, error) {
		b, err := budgets.Get(ctx, budget.Name, metav1.GetOptions{})
		return err == nil && b.Status.CurrentHealthy == 4, err
	})
	r.image("agent", "main:3")
	r.why("DisruptionBudget")
	r.why(budget.Name)
	r.updated("agent", "main:3", 0)
	if err := budgets.Delete(r.Context(), budget.Name, metav1.DeleteOptions{}); err != nil {
		r.Fatal(err)
	}
	r.updated("agent", "main:3", 4)
}

// annotated rolls out as annotations have it.
func (r *rolling) annotated() {
	r.Helper()
	r.annotate("rollcall/paused=true")
	r.image("agent", "main:4")
	r.why("paused")
	r.updated("agent", "main:4", 0)
	r.annotate("rollcall/paused-", "rollcall/partition=2")
	r.updated("agent", "main:4", 2)
	r.why("partition")
	r.updated("agent", "main:4", 2)
	r.annotate("rollcall/partition-")
	r.updated("agent", "main:4", 4)
	r.kubectl("label", "node/n2", "canary=true")
	r.annotate("rollcall/canary-selector=canary=true")
	r.image("agent", "main:5")
	if on := r.updated("agent", "main:5", 1); on[0] != "n2" {
		r.Errorf("the canary is on %v", on)
	}
	r.why("canary")
	r.annotate("rollcall/canary-selector-")
	r.updated("agent", "main:5", 4)
}
