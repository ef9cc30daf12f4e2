package projector_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// What was read of an event ahead of the fold makes no difference to the state, and
// is believed of the very bytes that it was read of alone.
func TestLook(t *testing.T) {
	pod := func(phase corev1.PodPhase, ready corev1.ConditionStatus) events.Event {
		o := object(t, events.Pod, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", UID: "u", Labels: map[string]string{"a": "b"}},
			Spec: corev1.PodSpec{NodeName: "x"}, Status: corev1.PodStatus{Phase: phase, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}})
		return events.Event{Seq: 1, Type: events.ObjectType(events.Pod, events.VerbCreated), Body: o}
	}
	fold := func(e events.Event) *sets.Pod {
		s := projector.New("x")
		if e = projector.Fold(s, e); e.Looked != nil {
			t.Error("an event is handed on with what was read for the fold")
		}
		return s.Pod(events.Key{Namespace: "n", Name: "p"})
	}
	l := new(projector.Looker)
	plain := fold(pod(corev1.PodRunning, corev1.ConditionTrue))
	e := pod(corev1.PodRunning, corev1.ConditionTrue)
	if l.Look(&e); e.Looked == nil {
		t.Fatal("nothing was read of a pod")
	}
	ahead := fold(e)
	if plain.Ready != ahead.Ready || plain.Phase != ahead.Phase || plain.Node != ahead.Node || plain.Labels().String() != ahead.Labels().String() || !ahead.Ready {
		t.Errorf("%+v, and %+v when it was read ahead", plain.PodView, ahead.PodView)
	}
	other := pod(corev1.PodPending, corev1.ConditionFalse)
	other.Looked = e.Looked
	if got := fold(other); got.Ready || got.Phase != corev1.PodPending {
		t.Errorf("%+v is what was read of another version", got.PodView)
	}
	broken := events.Event{Seq: 1, Type: e.Type, Body: events.Object{Ref: events.RefOf(e), Data: []byte{0x81}}}
	if l.Look(&broken); broken.Looked != nil {
		t.Error("something was read of a pod that cannot be")
	}
}
