package workloads_test

import (
	"context"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"

	"rollcall/events"
)

// walkNamespace deletes a namespace in which a DaemonSet runs and a pod is held
// by a finalizer: pods go first, the conditions tell what is left, and nothing
// is made again meanwhile.
func walkNamespace(t *testing.T, s *stand, ns string) {
	ctx := t.Context()
	defer unavailable(t, s)()
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Spec: appsv1.DaemonSetSpec{Selector: &selector, Template: template("agent:1", "")}}
	if _, err := s.AppsV1().DaemonSets(ns).Create(ctx, ds, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	running := await(t, s.AppsV1().DaemonSets(ns), "agent", "ready", func(d *appsv1.DaemonSet) bool {
		return d.Status.DesiredNumberScheduled > 0 && d.Status.NumberReady == d.Status.DesiredNumberScheduled
	})
	held := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/f"}}, Spec: template("held:1", "").Spec}
	if _, err := s.CoreV1().Pods(ns).Create(ctx, held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}
	if _, err := s.CoreV1().ConfigMaps(ns).Create(ctx, m, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := s.CoreV1().Pods(ns)
	await(t, pods, "held", "deleted, and held", func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
	follow(t, pods, metav1.ListOptions{}, "pods of the DaemonSet gone", func(watch.Event) bool {
		left, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "app=a"})
		return err == nil && len(left.Items) == 0
	})
	if _, err := s.CoreV1().ConfigMaps(ns).Get(ctx, "m", metav1.GetOptions{}); err != nil {
		t.Errorf("the rest does not wait for the pods: %v", err)
	}
	patch(t, pods.Patch, "held", `{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/f"]}}`)
	awaitGone(t, s.CoreV1().Namespaces(), ns)
	var made []string
	for e, err := range s.log.Read(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "pod.created" && events.RefOf(e).Key.Namespace == ns {
			made = append(made, events.RefOf(e).Key.Name)
		}
	}
	if len(made) != int(running.Status.NumberReady)+1 {
		t.Errorf("%v were made in the namespace, want one pod a node and the one that is held", made)
	}
}

// walkForeignNode plays the kubelet of a node that is not simulated: its taints
// follow its conditions, and a pod that waits for it says so.
func walkForeignNode(t *testing.T, s *stand, ns string) {
	ctx := t.Context()
	nodes := s.CoreV1().Nodes()
	n, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "foreign"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "waits"}, Spec: template("x:1", "").Spec}
	p.Spec.NodeName = n.Name
	if _, err := s.CoreV1().Pods(ns).Create(ctx, p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	say := func(status corev1.ConditionStatus) {
		n, err := nodes.Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, LastHeartbeatTime: metav1.Now()}}
		if _, err := nodes.UpdateStatus(ctx, n, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	tainted := func(effect corev1.TaintEffect) func(*corev1.Node) bool {
		return func(n *corev1.Node) bool {
			return slices.ContainsFunc(n.Spec.Taints, func(x corev1.Taint) bool { return x.Key == corev1.TaintNodeNotReady && x.Effect == effect })
		}
	}
	untainted := func(n *corev1.Node) bool { return len(n.Spec.Taints) == 0 }
	say(corev1.ConditionTrue)
	await(t, nodes, n.Name, "not tainted any more", untainted)
	say(corev1.ConditionFalse)
	await(t, nodes, n.Name, "tainted against new pods", tainted(corev1.TaintEffectNoSchedule))
	await(t, nodes, n.Name, "tainted against all pods, since other nodes are well", tainted(corev1.TaintEffectNoExecute))
	say(corev1.ConditionTrue)
	await(t, nodes, n.Name, "not tainted again", untainted)
	follow(t, s.CoreV1().Events(ns), metav1.ListOptions{FieldSelector: fields.Set{"involvedObject.name": "waits", "reason": "NoKubelet"}.AsSelector().String()},
		"why the pod waits", func(e watch.Event) bool { return e.Type == watch.Added })
	simulated, err := nodes.List(ctx, metav1.ListOptions{LabelSelector: "rollcall/simulated=true"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range simulated.Items {
		if tainted(corev1.TaintEffectNoSchedule)(&n) || tainted(corev1.TaintEffectNoExecute)(&n) {
			t.Errorf("simulated node %s got taints: %v", n.Name, n.Spec.Taints)
		}
	}
}

// unavailable makes an API of somebody else that does not answer, which no
// namespace waits for, and returns what takes it away.
func unavailable(t *testing.T, s *stand) (gone func()) {
	t.Helper()
	rest, path := s.CoreV1().RESTClient(), "/apis/apiregistration.k8s.io/v1/apiservices"
	const body = `{"metadata":{"name":"v1.geo.example.com"},"spec":{"group":"geo.example.com","version":"v1","groupPriorityMinimum":100,"versionPriority":10,"service":{"namespace":"default","name":"geo"}}}`
	if err := rest.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		_, err := s.Discovery().ServerPreferredNamespacedResources()
		return discovery.IsGroupDiscoveryFailedError(err), nil
	})
	if err != nil {
		t.Fatal("its group can be discovered")
	}
	return func() {
		if err := rest.Delete().AbsPath(path, "v1.geo.example.com").Do(t.Context()).Error(); err != nil {
			t.Error(err)
		}
	}
}
