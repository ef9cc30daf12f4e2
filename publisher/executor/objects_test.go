package executor

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/table"
)

// TestReadsTheFold gives an executor the tables of another fold: what it decides
// from is the very item that the fold has, and it keeps no object itself.
func TestReadsTheFold(t *testing.T) {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	objects := table.New(table.History{})
	state := projector.NewOver("log", objects)
	x := New(subjects, LogWorld{})
	x.ReadFrom(objects)
	body, err := events.NewObject(events.Pod, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "agent-x", UID: "u1"}})
	if err != nil {
		t.Fatal(err)
	}
	pod := body.Ref
	e := events.Event{Seq: 1, Type: events.ObjectType(events.Pod, events.VerbCreated), Stored: time.Unix(1, 0), Body: body}
	e = projector.Fold(state, e)
	if bad, ok := e.Body.(events.Unreadable); ok {
		t.Fatalf("the fold does not believe the pod: %s", bad.Why)
	}
	x.Observe(e, e.Stored)
	o := &order{command: events.Command{Do: events.DeletePod, Ref: pod}}
	is := x.situation(o).pod
	if is == nil || is != objects.Get(events.Pod, pod.Key) || &is.Data[0] != &body.Data[0] || is != state.Pod(pod.Key).Item {
		t.Errorf("the executor decides from %+v, which is not what the fold has", is)
	}
	if x.fold.own != nil || x.end(o) != 1 {
		t.Errorf("the executor keeps objects of its own, or sees the end of the pod at %d", x.end(o))
	}
}
