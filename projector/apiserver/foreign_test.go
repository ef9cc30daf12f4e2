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

// Of nodes that others run, and of what is on them, a client is told as by the
// API, and of nothing else.
//
// finding U10
func TestForeign(t *testing.T) {
	objects, seq := table.New(table.Recent), events.Seq(0)
	tell := func(kind events.Kind, o metav1.Object, verb string) {
		t.Helper()
		seq++
		body, err := events.NewObject(kind, o)
		if err != nil {
			t.Fatal(err)
		}
		e := events.Event{Seq: seq, Type: events.ObjectType(kind, verb), Body: body}
		if verb == events.VerbDeleted {
			e.Body = events.Gone(body)
		}
		objects.Take(e)
	}
	node := func(name, simulated string, ready corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u", Labels: map[string]string{events.LabelSimulated: simulated}},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
	}
	pod := func(name, on string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: "u"}, Spec: corev1.PodSpec{NodeName: on}}
	}
	f := NewForeign(objects)
	tell(events.Node, node("ill", "true", corev1.ConditionFalse), events.VerbCreated)
	if n := f.Well(); n != nil {
		t.Errorf("%s is not well", n.Name)
	}
	tell(events.Node, node("ours", "true", corev1.ConditionTrue), events.VerbCreated)
	tell(events.Node, node("theirs", "", corev1.ConditionTrue), events.VerbCreated)
	for name, on := range map[string]string{"a": "ours", "b": "theirs", "c": "nowhere", "d": ""} {
		tell(events.Pod, pod(name, on), events.VerbCreated)
	}
	if n := f.Well(); n == nil || n.Name != "ours" {
		t.Errorf("%v is well", n)
	}
	nodes, err := cache.ToListerWatcherWithContext(f.Nodes()).ListWithContext(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.(*corev1.NodeList).Items) != 1 || nodes.(*corev1.NodeList).Items[0].Name != "theirs" {
		t.Errorf("nodes %v, %v", nodes, err)
	}
	pods := cache.ToListerWatcherWithContext(f.Pods())
	list, err := pods.ListWithContext(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range list.(*corev1.PodList).Items {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"b", "c"}) {
		t.Errorf("pods %v", names)
	}
	w, err := pods.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: list.(*corev1.PodList).ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	tell(events.Pod, pod("a", "ours"), events.VerbUpdated)
	tell(events.Pod, pod("d", "theirs"), events.VerbUpdated)
	tell(events.Pod, pod("b", "theirs"), events.VerbUpdated)
	tell(events.Pod, pod("b", "theirs"), events.VerbDeleted)
	for _, want := range []struct {
		typ  watch.EventType
		name string
	}{{watch.Added, "d"}, {watch.Modified, "b"}, {watch.Deleted, "b"}} {
		e := <-w.ResultChan()
		if p, ok := e.Object.(*corev1.Pod); !ok || e.Type != want.typ || p.Name != want.name {
			t.Errorf("%s %v, want %v", e.Type, e.Object, want)
		}
	}
	objects.Of(events.Pod).Compact(uint64(seq))
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
