package apiserver

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"rollcall/events"
	"rollcall/projector/table"
)

// halfForeign are tables that a log fills with nodes of which one is not simulated.
type halfForeign struct {
	*testing.T
	*Foreign
	objects *table.Tables
	seq     events.Seq
}

func newHalfForeign(t *testing.T) *halfForeign {
	o := &halfForeign{T: t, objects: table.New(table.Recent)}
	o.Foreign = NewForeign(o.objects)
	o.tell(events.Node, nodeThatIs("ill", "true", corev1.ConditionFalse), events.VerbCreated)
	if n := o.Well(); n != nil {
		t.Errorf("%s is not well", n.Name)
	}
	o.tell(events.Node, nodeThatIs("ours", "true", corev1.ConditionTrue), events.VerbCreated)
	o.tell(events.Node, nodeThatIs("theirs", "", corev1.ConditionTrue), events.VerbCreated)
	for name, on := range map[string]string{"a": "ours", "b": "theirs", "c": "nowhere", "d": ""} {
		o.tell(events.Pod, podOn(name, on), events.VerbCreated)
	}
	return o
}

func nodeThatIs(name, simulated string, ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u", Labels: map[string]string{events.LabelSimulated: simulated}},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
}

func podOn(name, node string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: "u"}, Spec: corev1.PodSpec{NodeName: node}}
}

// tell tells of an object.
func (o *halfForeign) tell(kind events.Kind, is metav1.Object, verb string) {
	o.Helper()
	o.seq++
	body, err := events.NewObject(kind, is)
	if err != nil {
		o.Fatal(err)
	}
	e := events.Event{Seq: o.seq, Type: events.ObjectType(kind, verb), Body: body}
	if verb == events.VerbDeleted {
		e.Body = events.Gone(body)
	}
	o.objects.Take(e)
}

// Of nodes that others run, and of what is on them, a client is told as by the
// API, and of nothing else.
//
// finding U10
func TestForeign(t *testing.T) {
	o := newHalfForeign(t)
	if n := o.Well(); n == nil || n.Name != "ours" {
		t.Errorf("%v is well", n)
	}
	nodes, err := cache.ToListerWatcherWithContext(o.Nodes()).ListWithContext(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.(*corev1.NodeList).Items) != 1 || nodes.(*corev1.NodeList).Items[0].Name != "theirs" {
		t.Errorf("nodes %v, %v", nodes, err)
	}
	pods, err := cache.ToListerWatcherWithContext(o.Pods()).ListWithContext(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range pods.(*corev1.PodList).Items {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"b", "c"}) {
		t.Errorf("pods %v", names)
	}
}

// TestForeignWatch: and so it is with what becomes of them.
func TestForeignWatch(t *testing.T) {
	o := newHalfForeign(t)
	pods := cache.ToListerWatcherWithContext(o.Pods())
	list, err := pods.ListWithContext(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := pods.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: list.(*corev1.PodList).ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	o.tell(events.Pod, podOn("a", "ours"), events.VerbUpdated)
	o.tell(events.Pod, podOn("d", "theirs"), events.VerbUpdated)
	o.tell(events.Pod, podOn("b", "theirs"), events.VerbUpdated)
	o.tell(events.Pod, podOn("b", "theirs"), events.VerbDeleted)
	for _, want := range []struct {
		typ  watch.EventType
		name string
	}{{watch.Added, "d"}, {watch.Modified, "b"}, {watch.Deleted, "b"}} {
		e := <-w.ResultChan()
		if p, ok := e.Object.(*corev1.Pod); !ok || e.Type != want.typ || p.Name != want.name {
			t.Errorf("%s %v, want %v", e.Type, e.Object, want)
		}
	}
	o.objects.Of(events.Pod).Compact(uint64(o.seq))
	old, err := pods.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Stop()
	if e := <-old.ResultChan(); e.Type != watch.Error {
		t.Errorf("from what is forgotten: %v", e)
	}
	if _, err := pods.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: "x"}); err == nil {
		t.Error("watched from no revision")
	}
}
