package apiserver

import (
	"context"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"

	"rollcall/events"
)

// watching returns a function that waits for the next change of one object that
// is as wanted.
func watching(t *testing.T, open func(context.Context, metav1.ListOptions) (watch.Interface, error), name string) func(string, func(watch.Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	w, err := open(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop(); cancel() })
	return func(want string, ok func(watch.Event) bool) {
		t.Helper()
		for e := range w.ResultChan() {
			if ok(e) {
				return
			}
		}
		t.Fatalf("%s: no", want)
	}
}

func added(e watch.Event) bool { return e.Type == watch.Added }

func deleted(e watch.Event) bool { return e.Type == watch.Deleted }

// What every namespace has comes back, and so do the system's namespaces; a
// namespace that ends is left to end.
//
// finding c8, finding c15
func TestNamespacesAreKept(t *testing.T) {
	c := newCluster(t)
	ctx := t.Context()
	core := c.client.CoreV1()
	accounts, maps := core.ServiceAccounts("default"), core.ConfigMaps("default")

	account := watching(t, accounts.Watch, defaultAccount)
	account("is there", added)
	if err := accounts.Delete(ctx, defaultAccount, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	account("is deleted", deleted)
	account("comes back", added)

	ca := watching(t, maps.Watch, rootCA)
	ca("is there", added)
	if err := maps.Delete(ctx, rootCA, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ca("is deleted", deleted)
	ca("comes back", added)
	m, err := maps.Get(ctx, rootCA, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Data, m.Annotations = map[string]string{"ca.crt": "forged", "more": "x"}, nil
	if _, err := maps.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ca("is put right", func(e watch.Event) bool {
		m, ok := e.Object.(*corev1.ConfigMap)
		return ok && e.Type == watch.Modified && len(m.Data) == 1 && m.Data["ca.crt"] == string(c.server.config.CA) &&
			m.Annotations[rootcacertpublisher.DescriptionAnnotation] == rootcacertpublisher.Description
	})

	if _, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ends"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	watching(t, core.ServiceAccounts("ends").Watch, defaultAccount)("is there", added)
	c.end(t, "ends", false)
	if err := core.ServiceAccounts("ends").Delete(ctx, defaultAccount, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	namespace := watching(t, core.Namespaces().Watch, corev1.NamespaceNodeLease)
	namespace("is there", added)
	c.end(t, corev1.NamespaceNodeLease, true)
	namespace("is deleted", deleted)
	namespace("comes back", added)
	watching(t, core.ConfigMaps(corev1.NamespaceNodeLease).Watch, rootCA)("is there too", added)
	// By now the controller of accounts has seen later changes than this one.
	if _, err := core.ServiceAccounts("ends").Get(ctx, defaultAccount, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the account of a namespace that ends came back: %v", err)
	}
}

// end deletes a namespace, and if it is empty lets it go as a controller does.
func (c *cluster) end(t *testing.T, name string, empty bool) {
	t.Helper()
	namespaces := c.client.CoreV1().Namespaces()
	if err := namespaces.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if !empty {
		return
	}
	n, err := namespaces.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.Spec.Finalizers = nil
	if _, err := namespaces.Finalize(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// The Leases that nobody writes are in a namespace like others: while it ends
// there are none.
//
// finding c15
func TestNoLeasesWithoutNamespace(t *testing.T) {
	c := newClusterWith(t, withPort(t, Config{Alive: func(_ *corev1.Node, now time.Time) (time.Time, bool) { return now, true }}))
	body, err := events.NewObject(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.objects.Await(t.Context(), c.append(t, events.ObjectType(events.Node, events.VerbCreated), body)); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		list, err := c.client.CoordinationV1().Leases("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), "n1", metav1.GetOptions{})
		if (err == nil) != (len(list.Items) == 1) {
			t.Errorf("%d are listed, and one is read: %v", len(list.Items), err)
		}
		return len(list.Items)
	}
	if got := count(); got != 1 {
		t.Fatalf("%d Leases of one node", got)
	}
	c.end(t, corev1.NamespaceNodeLease, false)
	if got := count(); got != 0 {
		t.Errorf("%d Leases in a namespace that ends", got)
	}
}

// The tables are waited for until they have what is wanted, whether that was there
// before or comes later.
//
// finding U3
func TestAwait(t *testing.T) {
	c := newCluster(t)
	ctx := t.Context()
	if err := AwaitObject(ctx, c.objects, events.Namespace, nil); err != nil {
		t.Errorf("what is there: %v", err)
	}
	done := make(chan error, 3)
	go func() { done <- AwaitObject(ctx, c.objects, events.Job, nil) }()
	for _, name := range []string{"a", "b"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := c.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	go func() { done <- AwaitObject(ctx, c.objects, events.Namespace, Deleting) }()
	select {
	case err := <-done:
		t.Fatalf("waited for nothing: %v", err)
	default:
	}
	if _, err := c.client.BatchV1().Jobs("a").Create(ctx, testJob(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := c.client.CoreV1().Namespaces().Delete(ctx, "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := AwaitObject(ended, c.objects, events.CronJob, nil); err == nil {
		t.Error("there is no CronJob")
	}
	if err := AwaitObject(ctx, c.objects, "Widget", nil); err == nil {
		t.Error("nobody keeps Widgets")
	}
}

// What the tables are asked for about objects.
func TestDemands(t *testing.T) {
	data := func(kind events.Kind, o metav1.Object) []byte {
		body, err := events.NewObject(kind, o)
		if err != nil {
			t.Fatal(err)
		}
		return body.Data
	}
	yes := true
	owned := func(kind string) []byte {
		return data(events.Pod, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: kind, Controller: &yes}}}})
	}
	node := func(labels map[string]string, taints ...corev1.Taint) []byte {
		return data(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.NodeSpec{Taints: taints}})
	}
	now := metav1.Now()
	for name, got := range map[string]bool{
		"a bare pod":                Strays(data(events.Pod, &corev1.Pod{})),
		"a pod of a ReplicaSet":     Strays(owned("ReplicaSet")),
		"not of a DaemonSet":        !Strays(owned("DaemonSet")),
		"a node without labels":     events.RealNode(node(nil)),
		"another value":             events.RealNode(node(map[string]string{events.LabelSimulated: "false"})),
		"not a simulated node":      !events.RealNode(node(map[string]string{events.LabelSimulated: "true"})),
		"not one that is told":      !events.RealNode(node(map[string]string{events.LabelSource: "inventory"})),
		"a taint to leave for":      Evicting(node(nil, corev1.Taint{Effect: corev1.TaintEffectNoSchedule}, corev1.Taint{Effect: corev1.TaintEffectNoExecute})),
		"not one to keep away for":  !Evicting(node(nil, corev1.Taint{Effect: corev1.TaintEffectNoSchedule})),
		"a namespace that ends":     Deleting(data(events.Namespace, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}})),
		"not one that does not end": !Deleting(data(events.Namespace, &corev1.Namespace{})),
	} {
		if !got {
			t.Errorf("%s: no", name)
		}
	}
}

func testJob() *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}}
}

// warnings keeps what an API warned of.
type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) { *w = append(*w, text) }

// Who makes an object that nobody acts on gets a warning with the answer.
//
// finding U3
func TestUnattendedWarns(t *testing.T) {
	c := newClusterWith(t, Config{Unattended: map[events.Kind]Unattended{events.Job: func(o runtime.Object) string {
		if o.(*batchv1.Job).Name != "j" {
			return ""
		}
		return "nobody works here"
	}}})
	config := rest.CopyConfig(c.server.Loopback())
	var got warnings
	config.WarningHandler = &got
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	other := testJob()
	other.Name = "other"
	for _, j := range []*batchv1.Job{testJob(), other} {
		if _, err := client.BatchV1().Jobs("default").Create(t.Context(), j, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0] != "nobody works here" {
		t.Errorf("warned of %q", got)
	}
}
