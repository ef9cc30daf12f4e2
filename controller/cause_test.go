package controller_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
)

// progressing returns the condition that a reconcile asks to be written, or
// that is there if it asks for none.
func (c *cluster) progressing() appsv1.DaemonSetCondition {
	c.tb.Helper()
	st := c.s.DaemonSet(agent).Object.Status
	if w := controller.Reconcile(c.s, agent, c.now).Status; w != nil {
		st = w.Object.(*appsv1.DaemonSet).Status
	}
	for _, x := range st.Conditions {
		if x.Type == controller.ConditionProgressing {
			return x
		}
	}
	return appsv1.DaemonSetCondition{}
}

// ours makes the nodes ready and simulated, but for those named.
func (c *cluster) ours(but string) {
	for n := range c.s.Nodes() {
		if n.Name == but {
			continue
		}
		node := &corev1.Node{}
		if err := n.Object.Decode(node); err != nil {
			c.tb.Fatal(err)
		}
		node.Labels[events.LabelSimulated] = "true"
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		c.fold(c.object(events.Node, events.VerbUpdated, node, events.Cause{}))
	}
}

// podOn changes the pod of a node.
func (c *cluster) podOn(node string, f func(*corev1.Pod)) string {
	for p := range c.s.Pods() {
		if p.Node == node {
			pod := &corev1.Pod{}
			if err := p.Object.Decode(pod); err != nil {
				c.tb.Fatal(err)
			}
			pod = c.ready(pod, node, false)
			f(pod)
			c.fold(c.object(events.Pod, events.VerbUpdated, pod, events.Cause{}))
			return pod.Name
		}
	}
	c.tb.Fatalf("no pod on %s", node)
	return ""
}

// finding U6, finding U10: what holds a rollout is in its condition and in a
// plan, and is said once while it lasts.
func TestCauses(t *testing.T) {
	waiting := func(reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", Image: "agent:v9",
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
		}
	}
	crashed := func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", Image: "agent:v9", RestartCount: 3,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}}
	}
	silent := func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodPending} }
	pause := func(ds *appsv1.DaemonSet) {
		image("v3")(ds)
		ds.Annotations = map[string]string{events.AnnotationPaused: "true"}
	}
	for name, c := range map[string]stuckRollout{
		"an image that is not there": {waiting("ErrImagePull"), image("v3"), "RollingOut",
			[]string{"2 wait for the budget, 1 of 1 unavailable", "POD on node " + on + ": ImagePullBackOff agent:v9"}, "", ""},
		"a crash":            {crashed, image("v3"), "RollingOut", []string{"POD on node " + on + ": CrashLoopBackOff agent:v9"}, "", ""},
		"a node of nobody":   {silent, image("v3"), "RollingOut", []string{"1 of maxUnavailable 1 used by pods on nodes that no kubelet has reported from: " + on}, "", on},
		"a pause":            {nil, pause, "Paused", []string{"paused by annotation rollcall/paused since 2026-01-01T", "by bench"}, events.HeldPaused, ""},
		"being made is none": {waiting("ContainerCreating"), image("v3"), "RollingOut", nil, "", ""},
	} {
		t.Run(name, c.run)
	}
}

// on is the node whose pod holds a rollout.
const on = "node-00001"

// stuckRollout is one that something holds, and what is to be said of it.
type stuckRollout struct {
	pod     func(*corev1.Pod) // what is wrong with the pod of the node
	change  func(*appsv1.DaemonSet)
	reason  string
	want    []string
	held    events.Held
	foreign string // a node that is not simulated
}

func (c stuckRollout) run(t *testing.T) {
	k := newCluster(t)
	k.addNodes(3)
	k.apply(daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
	k.settle()
	k.ours(c.foreign)
	k.change(image("v2"))
	k.settle()
	pod := ""
	if c.pod != nil {
		pod = k.podOn(on, c.pod)
	}
	k.change(c.change)
	k.reconcile(agent) // its revision
	res := controller.Reconcile(k.s, agent, k.now)
	if c.held != "" && (res.Plan == nil || len(res.Plan.Commands) > 0 || res.Plan.Held[0].For != c.held) {
		t.Errorf("plan %+v, want one that says %s", res.Plan, c.held)
	}
	got := k.progressing()
	if got.Reason != c.reason {
		t.Errorf("reason %s, want %s: %s", got.Reason, c.reason, got.Message)
	}
	for _, w := range c.want {
		if w = strings.ReplaceAll(w, "POD", "pod "+pod); !strings.Contains(got.Message, w) {
			t.Errorf("%q does not say %q", got.Message, w)
		}
	}
	if c.want == nil && strings.Contains(got.Message, "; ") {
		t.Errorf("%q names a cause", got.Message)
	}
	if c.held != "" {
		k.reconcile(agent)
		if again := controller.Reconcile(k.s, agent, k.now); again.Plan != nil {
			t.Errorf("told again: %+v", again.Plan)
		}
	}
}

// A lost node holds the budget as well when its pod is to go: nobody ends it there.
func TestLostNodeHoldsTheBudget(t *testing.T) {
	k := newCluster(t)
	k.addNodes(3)
	k.apply(daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
	k.settle()
	k.ours("")
	k.lose(1)
	const lost = "1 of maxUnavailable 1 used by pods on nodes that are not ready: " + on
	if got := k.progressing().Message; !strings.HasSuffix(got, "; "+lost) {
		t.Errorf("%q before the rollout, want %q at its end", got, lost)
	}
	k.takeTouched()
	for _, ready := range []bool{true, false} { // which its pod says nothing of
		k.readyNode(1, ready)
		if got := k.progressing().Message; strings.HasSuffix(got, lost) == ready || len(k.takeTouched()) == 0 {
			t.Errorf("%q, or nobody looked at it, when the node was ready: %t", got, ready)
		}
	}
	k.change(image("v2"))
	k.settle()
	if p := k.pod(on); p == nil || p.DeletionTimestamp == nil {
		t.Fatalf("the pod of the lost node is not on its way out: %v", p)
	}
	if got, want := k.progressing().Message, "2 wait for the budget, 1 of 1 unavailable; "+lost; !strings.HasSuffix(got, "; "+want) {
		t.Errorf("%q, want %q at its end", got, want)
	}
}
