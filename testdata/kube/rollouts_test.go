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

// TestRollouts: with the rights of deploy/rbac-rollouts.yaml and none besides old pods of
// an OnDelete DaemonSet that asks for it are evicted, as its budget, its annotations and
// the PodDisruptionBudgets of the cluster have it, and the cluster's own controller makes
// the new ones. Other DaemonSets are left to it.
func TestRollouts(t *testing.T) {
	c := newCluster(t)
	c.controllers(all)
	c.kubelets()
	for i := range 4 {
		c.node(fmt.Sprint("n", i))
	}
	data := filepath.Join(t.TempDir(), "rollouts")
	c.daemonSet("agent", onDelete, func(ds *appsv1.DaemonSet) {
		ds.Annotations = map[string]string{"rollcall/rollout": `{"maxUnavailable":1}`}
	})
	c.daemonSet("other")
	c.daemonSet("manual", onDelete)
	for _, name := range []string{"agent", "other", "manual"} {
		c.rolledOut(name, 4)
	}
	p := start(t, *rollcall, "connect", "--rollouts", "--kubeconfig", c.granted("rollouts"), "--data", data)
	p.sees("evicts old pods of OnDelete DaemonSets")
	p.sees("the log has what the cluster has")
	manual := c.pods("manual")
	c.image("manual", "main:2")
	c.image("other", "main:2")
	c.image("agent", "main:2")
	c.updated("agent", "main:2", 4)
	c.rolledOut("other", 4)

	all := intstr.FromInt32(4)
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &all, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}}}
	if _, err := c.client.PolicyV1().PodDisruptionBudgets(space).Create(t.Context(), budget, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("the budget counts", func(ctx context.Context) (bool, error) {
		b, err := c.client.PolicyV1().PodDisruptionBudgets(space).Get(ctx, "agent", metav1.GetOptions{})
		return err == nil && b.Status.CurrentHealthy == 4, err
	})
	c.image("agent", "main:3")
	c.says("DisruptionBudget", "why-not", "ds/agent", "-n", space, "--data", data)
	c.updated("agent", "main:3", 0)
	if err := c.client.PolicyV1().PodDisruptionBudgets(space).Delete(t.Context(), "agent", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.updated("agent", "main:3", 4)

	annotate := func(what ...string) {
		c.kubectl(append([]string{"annotate", "ds/agent", "-n", space, "--overwrite"}, what...)...)
	}
	annotate("rollcall/paused=true")
	c.image("agent", "main:4")
	c.says("paused", "why-not", "ds/agent", "-n", space, "--data", data)
	c.updated("agent", "main:4", 0)
	annotate("rollcall/paused-", "rollcall/partition=2")
	c.updated("agent", "main:4", 2)
	c.says("partition", "why-not", "ds/agent", "-n", space, "--data", data)
	c.updated("agent", "main:4", 2)
	annotate("rollcall/partition-")
	c.updated("agent", "main:4", 4)
	c.kubectl("label", "node/n2", "canary=true")
	annotate("rollcall/canary-selector=canary=true")
	c.image("agent", "main:5")
	if on := c.updated("agent", "main:5", 1); on[0] != "n2" {
		t.Errorf("the canary is on %v", on)
	}
	c.says("canary", "why-not", "ds/agent", "-n", space, "--data", data)
	annotate("rollcall/canary-selector-")
	c.updated("agent", "main:5", 4)

	for node, was := range manual {
		if is := c.pods("manual")[node]; is.UID != was.UID {
			t.Errorf("the pod of manual on %s, which asks for nothing, is another", node)
		}
	}
	if _, said := runs(t, "log", "--data", data, "--type", "daemonset.planned", "-o", "jsonl"); strings.Contains(said, `"CreatePod"`) || strings.Contains(said, "default/other") {
		t.Errorf("more was planned than what agent asks for:\n%s", said)
	}
	p.end()
	if code, said := runs(t, "verify", "--data", data); code != 0 {
		t.Errorf("verify, exit code %d:\n%s", code, said)
	}
}
