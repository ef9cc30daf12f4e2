package story

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// A node, or a pod, that is Ready at two instants and was not between them is told as
// one that is again. What only beats is told where nothing else is.
func TestReadyAgain(t *testing.T) {
	begin := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	condition := func(typ corev1.NodeConditionType, status corev1.ConditionStatus, beat, since time.Duration) corev1.NodeCondition {
		return corev1.NodeCondition{Type: typ, Status: status, LastHeartbeatTime: metav1.NewTime(begin.Add(beat)), LastTransitionTime: metav1.NewTime(begin.Add(since))}
	}
	node := func(status corev1.ConditionStatus, beat, since time.Duration) events.Object {
		o, err := events.NewObject(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, beat, since), condition(corev1.NodeReady, status, beat, since)}}})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	pod := func(since time.Duration) events.Object {
		o, err := events.NewObject(events.Pod, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "p"}, Status: corev1.PodStatus{Phase: corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(begin.Add(since))}}}})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for _, c := range []struct {
		old, new events.Object
		want     string
	}{
		{node(corev1.ConditionTrue, 0, 0), node(corev1.ConditionTrue, time.Minute, time.Minute), "Ready True again since 2026-03-02T10:01:00Z"},
		{node(corev1.ConditionUnknown, 0, 0), node(corev1.ConditionUnknown, time.Minute, time.Minute), "Ready Unknown again since 2026-03-02T10:01:00Z"},
		{node(corev1.ConditionTrue, 0, 0), node(corev1.ConditionFalse, time.Minute, time.Minute), "Ready True→False"},
		{node(corev1.ConditionTrue, 0, 0), node(corev1.ConditionTrue, time.Minute, 0),
			"status.conditions.DiskPressure.lastHeartbeatTime 2026-03-02T10:00:00Z→2026-03-02T10:01:00Z, status.conditions.Ready.lastHeartbeatTime 2026-03-02T10:00:00Z→2026-03-02T10:01:00Z"},
		{pod(0), pod(time.Minute), "Ready True again since 2026-03-02T10:01:00Z"},
	} {
		if got := Change(c.old, c.new); got != c.want {
			t.Errorf("told %q, want %q", got, c.want)
		}
	}
}
