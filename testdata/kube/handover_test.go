package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// handed is a DaemonSet that is in some state when it is handed over: a row of the matrix.
type handed struct {
	name  string
	spec  func(*appsv1.DaemonSet)         // as it is made; nil: as usual
	under func(c *cluster, name string)   // brings it there while its controller is at work; nil: nothing does
	alone func(c *cluster, name string)   // and while it has none
	loses func(c *cluster, to column) int // pods that another controller replaces; nil: none
	keeps bool                            // the revisions stay what they are, when we take over
}

// column is from whom to whom DaemonSets are handed.
type column int

const (
	toUs    column = iota // from the cluster's own controller
	toUsNow               // from one of ours that is killed
	toThem                // back
)

// handOvers are the states in which DaemonSets are handed over.
var handOvers = []handed{
	{name: "fresh", keeps: true},
	{name: "rolled", keeps: true, under: func(c *cluster, name string) {
		c.image(name, "main:2")
		c.rolledOut(name, 4)
	}},
	{name: "mid-rollout", keeps: true, under: func(c *cluster, name string) {
		c.image(name, "stuck:mid")
		c.status(name, func(st appsv1.DaemonSetStatus) bool {
			return st.UpdatedNumberScheduled == 1 && st.NumberUnavailable == 1
		})
	}},
	{name: "surge-pair", keeps: true, spec: surge, under: func(c *cluster, name string) {
		c.image(name, "stuck:surge")
		c.until("there is a pair", func(context.Context) (bool, error) { return len(c.uidsOf(name)) == 5, nil })
	}},
	{name: "paused", spec: func(ds *appsv1.DaemonSet) { ds.Annotations = map[string]string{"rollcall/paused": "true"} },
		alone: func(c *cluster, name string) { c.image(name, "main:2") },
		loses: func(c *cluster, to column) int {
			if to == toThem && !c.own {
				return 4 // Kubernetes' own controller knows no pause
			}
			return 0
		}},
	{name: "two-equal-revisions", alone: func(c *cluster, name string) {
		r := c.revision(name)
		r.Name, r.Labels[appsv1.ControllerRevisionHashLabelKey], r.Data.Raw = name+"-copy", "copy", c.edited(r, "metadata", "creationTimestamp", nil)
		c.makeRevision(r)
	}},
	{name: "foreign-default", alone: func(c *cluster, name string) {
		c.rewriteRevision(name, "spec", "hostname", "of-the-version-before")
	}, loses: func(c *cluster, to column) int {
		if to == toThem && c.own {
			return 4 // that of rollcall up knows pods by their revision alone
		}
		return 0
	}},
	{name: "deleted-revision", alone: func(c *cluster, name string) { c.dropRevision(c.revision(name).Name) }},
	{name: "null-timestamp", keeps: true, alone: func(c *cluster, name string) { c.rewriteRevision(name, "metadata", "creationTimestamp", nil) }},
	{name: "orphan-pods", under: func(c *cluster, name string) {
		orphan := metav1.DeletePropagationOrphan
		if err := c.client.AppsV1().DaemonSets(space).Delete(c.Context(), name, metav1.DeleteOptions{PropagationPolicy: &orphan}); err != nil {
			c.Fatal(err)
		}
		c.goes(name)
	}, alone: func(c *cluster, name string) { c.daemonSet(name) }},
	{name: "failed-pods", alone: func(c *cluster, name string) {
		p := c.podOn(name, "n1")
		if _, err := c.client.CoreV1().Pods(space).Patch(c.Context(), p.Name, types.MergePatchType, []byte(`{"status":{"phase":"Failed"}}`), metav1.PatchOptions{}, "status"); err != nil {
			c.Fatal(err)
		}
	}, loses: func(_ *cluster, to column) int {
		if to == toUs {
			return 1
		}
		return 0
	}},
}

// TestHandOver: DaemonSets in whatever state are handed over from the cluster's own
// controller to ours, from one of ours that is killed to the next, and back, and each pod
// stays that has not to go by its row; rollouts that stood still go on by whoever has them
// then.
func TestHandOver(t *testing.T) {
	c := newWorld(t)
	theirs := c.controllers(all)
	c.kubelets()
	for i := range 4 {
		c.node(fmt.Sprint("n", i))
	}
	for _, h := range handOvers {
		if h.spec == nil {
			h.spec = func(*appsv1.DaemonSet) {}
		}
		c.daemonSet(h.name, h.spec)
	}
	for _, h := range handOvers {
		c.rolledOut(h.name, 4)
		if h.under != nil {
			h.under(c, h.name)
		}
	}
	theirs.end()
	theirs = c.controllers(others)
	for _, h := range handOvers {
		if h.alone != nil {
			h.alone(c, h.name)
		}
	}
	admin, data := c.kubeconfig("admin", c.admin), filepath.Join(t.TempDir(), "control")

	was, revisions := c.snapshot(), c.revisions()
	us := c.control(admin, data, soon, "--at-takeover=allow")
	c.handed(toUs, was)
	for _, h := range handOvers {
		if is := c.revisions()[h.name]; h.keeps && !slices.Equal(is, revisions[h.name]) {
			t.Errorf("%s has the revisions %v, and had %v", h.name, is, revisions[h.name])
		}
	}

	was = c.snapshot()
	us.kill()
	us = c.control(admin, data, soon)
	c.handed(toUsNow, was)
	c.freed.Store("stuck:mid", true)
	c.rolledOut("mid-rollout", 4)
	us.end()
	if code, said := runs(t, "verify", "--data", data); code != 0 {
		t.Errorf("verify, exit code %d:\n%s", code, said)
	}

	if code, said := runs(t, "release", "--kubeconfig", admin, "--data", data); code != 0 {
		t.Fatalf("release, exit code %d:\n%s", code, said)
	}
	was = c.snapshot()
	theirs.end()
	theirs = c.controllers(all)
	c.handed(toThem, was)
	c.freed.Store("stuck:surge", true)
	c.rolledOut("surge-pair", 4)
	theirs.end()
}

// handed looks what has become of every pod when the new controller has been at work.
func (c *cluster) handed(to column, was map[string][]types.UID) {
	c.Helper()
	last := fmt.Sprint("last-", to)
	c.daemonSet(last) // whoever has rolled it out has looked at those before
	c.rolledOut(last, 4)
	for _, h := range handOvers {
		loses := 0
		if h.loses != nil {
			loses = h.loses(c, to)
		}
		if loses > 0 {
			c.rolledOut(h.name, 4)
		}
		is, lost := c.uidsOf(h.name), 0
		for _, uid := range was[h.name] {
			if !slices.Contains(is, uid) {
				lost++
			}
		}
		if lost != loses || len(is) != len(was[h.name]) {
			c.Errorf("hand-over %d: %s has lost %d pods, want %d; it has %d and had %d", to, h.name, lost, loses, len(is), len(was[h.name]))
		}
	}
}

// status waits until the status of a DaemonSet is so.
func (c *cluster) status(name string, so func(appsv1.DaemonSetStatus) bool) {
	c.Helper()
	c.until("the status of "+name+" is so", func(ctx context.Context) (bool, error) {
		ds, err := c.client.AppsV1().DaemonSets(space).Get(ctx, name, metav1.GetOptions{})
		return err == nil && ds.Status.ObservedGeneration == ds.Generation && so(ds.Status), err
	})
}

// live returns the pods with the label of a DaemonSet that are not being deleted.
func (c *cluster) live(name string) (ps []corev1.Pod) {
	c.Helper()
	list, err := c.client.CoreV1().Pods(space).List(c.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		c.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

func (c *cluster) podOn(name, node string) corev1.Pod {
	c.Helper()
	for _, p := range c.live(name) {
		if pin(&p) == node {
			return p
		}
	}
	c.Fatalf("%s has no pod on %s", name, node)
	return corev1.Pod{}
}

func (c *cluster) uidsOf(name string) (uids []types.UID) {
	c.Helper()
	for _, p := range c.live(name) {
		uids = append(uids, p.UID)
	}
	return uids
}

// snapshot returns the uids of the pods of each row.
func (c *cluster) snapshot() map[string][]types.UID {
	c.Helper()
	all := map[string][]types.UID{}
	for _, h := range handOvers {
		all[h.name] = c.uidsOf(h.name)
	}
	return all
}

// revisions returns the names and numbers of the revisions of each row.
func (c *cluster) revisions() map[string][]string {
	c.Helper()
	list, err := c.client.AppsV1().ControllerRevisions(space).List(c.Context(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	all := map[string][]string{}
	for _, r := range list.Items {
		all[r.Labels["app"]] = append(all[r.Labels["app"]], fmt.Sprint(r.Name, " ", r.UID, " ", r.Revision))
	}
	return all
}

// revision returns the newest revision of a DaemonSet.
func (c *cluster) revision(name string) *appsv1.ControllerRevision {
	c.Helper()
	list, err := c.client.AppsV1().ControllerRevisions(space).List(c.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil || len(list.Items) == 0 {
		c.Fatalf("%s has no revision: %v", name, err)
	}
	r := slices.MaxFunc(list.Items, func(a, b appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	return &r
}

// edited returns the data of a revision with another value in a part of its template.
func (c *cluster) edited(r *appsv1.ControllerRevision, part, field string, value any) []byte {
	c.Helper()
	var data struct {
		Spec struct {
			Template map[string]any `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		c.Fatal(err)
	}
	data.Spec.Template[part].(map[string]any)[field] = value
	raw, err := json.Marshal(data)
	if err != nil {
		c.Fatal(err)
	}
	return raw
}

// rewriteRevision has the revision of a DaemonSet say something else under its name.
func (c *cluster) rewriteRevision(name, part, field string, value any) {
	c.Helper()
	r := c.revision(name)
	r.Data.Raw = c.edited(r, part, field, value)
	c.dropRevision(r.Name)
	c.makeRevision(r)
}

func (c *cluster) dropRevision(name string) {
	c.Helper()
	if err := c.client.AppsV1().ControllerRevisions(space).Delete(c.Context(), name, metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) makeRevision(r *appsv1.ControllerRevision) {
	c.Helper()
	r.UID, r.ResourceVersion, r.ManagedFields, r.CreationTimestamp = "", "", nil, metav1.Time{}
	if _, err := c.client.AppsV1().ControllerRevisions(space).Create(c.Context(), r, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
}
