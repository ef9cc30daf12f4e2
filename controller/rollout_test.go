package controller_test

import (
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector/sets"
)

// TestRollout rolls a DaemonSet over nodes with every fact told alone and
// looks at the state from scratch at the end.
func TestRollout(t *testing.T) {
	c := newCluster(t)
	c.addNodes(50)
	ds := daemonSet("agent", "agent:v1", intstr.FromString("10%"))
	key := events.Key{Namespace: ds.Namespace, Name: ds.Name}
	c.apply(ds)
	c.settle()
	c.done(key, 50)
	ds = c.s.DaemonSet(key).Object.DeepCopy()
	ds.Spec.Template.Spec.Containers[0].Image = "agent:v2"
	ds.Generation++
	c.apply(ds)
	c.settle()
	c.done(key, 50)
	if err := c.s.Check(); err != nil {
		t.Error(err)
	}
	if got := len(c.s.DaemonSet(key).Revisions()); got != 2 {
		t.Errorf("%d revisions, want 2", got)
	}
}

var agent = events.Key{Namespace: "kube-system", Name: "agent"}

// change applies the next generation of a DaemonSet.
func (c *cluster) change(f func(*appsv1.DaemonSet)) {
	ds := c.s.DaemonSet(agent).Object.DeepCopy()
	ds.Generation++
	f(ds)
	c.apply(ds)
}

func image(v string) func(*appsv1.DaemonSet) {
	return func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = "agent:" + v }
}

func (c *cluster) check(t *testing.T) {
	t.Helper()
	if err := c.s.Check(); err != nil {
		t.Error(err)
	}
}

// updated returns the nodes whose pod has the present template.
func (c *cluster) updated() (nodes []string) {
	d := c.s.DaemonSet(agent)
	for _, cell := range d.AllCells() {
		if len(cell.Pods) == 1 && d.Current(cell.Pods[0].Revision) {
			nodes = append(nodes, cell.Node)
		}
	}
	return nodes
}

// TestCanarySelector updates the nodes with the label, says what keeps the
// others, and goes on when a node is labelled and when the selector goes (W04).
func TestCanarySelector(t *testing.T) {
	c := newCluster(t)
	c.addNodes(6)
	ds := daemonSet("agent", "agent:v1", intstr.FromInt32(2))
	ds.Annotations = map[string]string{events.AnnotationCanary: "canary=true"}
	c.apply(ds)
	c.settle()
	label := func(i int) {
		n := c.node(i)
		n.Labels["canary"] = "true"
		c.fold(c.object(events.Node, events.VerbUpdated, n, events.Cause{}))
		c.settle()
		c.check(t)
	}
	label(4)
	c.change(image("v2"))
	c.settle()
	c.check(t)
	if got, want := c.updated(), []string{"node-00004"}; !slices.Equal(got, want) {
		t.Errorf("updated %v, want %v", got, want)
	}
	held := controller.Reconcile(c.s, agent, c.now).Held
	if want := []events.WaitCount{{For: events.HeldCanary, Nodes: 5}}; !slices.Equal(held, want) {
		t.Errorf("held %v, want %v", held, want)
	}
	label(1)
	if got, want := c.updated(), []string{"node-00001", "node-00004"}; !slices.Equal(got, want) {
		t.Errorf("updated %v, want %v", got, want)
	}
	c.change(func(ds *appsv1.DaemonSet) { delete(ds.Annotations, events.AnnotationCanary) })
	c.settle()
	c.check(t)
	c.done(agent, 6)
}

// TestIgnoreUnreachable rolls past as many lost nodes as the DaemonSet says,
// and not past more (W01).
func TestIgnoreUnreachable(t *testing.T) {
	for ignored, want := range map[int]int{0: 0, 1: 0, 2: 4, 5: 4} {
		t.Run(fmt.Sprint("ignored=", ignored), func(t *testing.T) {
			c := newCluster(t)
			for i := range 6 {
				c.readyNode(i, true)
			}
			ds := daemonSet("agent", "agent:v1", intstr.FromInt32(1))
			ds.Annotations = map[string]string{events.AnnotationUnreachable: fmt.Sprint(ignored)}
			c.apply(ds)
			c.settle()
			for _, i := range []int{0, 3} {
				c.lose(i)
			}
			c.change(image("v2"))
			c.settle()
			c.check(t)
			// The pods of lost nodes are replaced too, but end only when their kubelets return.
			got := slices.DeleteFunc(c.updated(), func(n string) bool { return n == c.node(0).Name || n == c.node(3).Name })
			if len(got) != want {
				t.Errorf("updated %v, want %d", got, want)
			}
		})
	}
}

func (c *cluster) readyNode(i int, ready bool) {
	n := c.node(i)
	status := corev1.ConditionUnknown
	if ready {
		status = corev1.ConditionTrue
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	c.fold(c.object(events.Node, events.VerbUpdated, n, events.Cause{}))
}

// lose takes a node and the readiness of its pod away, and makes its pod hang
// when it is deleted.
func (c *cluster) lose(i int) {
	c.readyNode(i, false)
	c.lost = append(c.lost, c.node(i).Name)
	cell := c.s.DaemonSet(agent).Cell(sets.CellKey{Node: c.node(i).Name, NodeUID: c.node(i).UID})
	pod := &corev1.Pod{}
	if err := cell.Pods[0].Object.Decode(pod); err != nil {
		c.tb.Fatal(err)
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(c.now)}}
	c.fold(c.object(events.Pod, events.VerbUpdated, pod, events.Cause{}))
}
