package replay

import (
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// TestExits: of a pod it is told which of its containers have failed or were started
// again, also when it is gone.
func TestExits(t *testing.T) {
	w := tell(t)
	at := metav1.NewTime(began.Add(time.Minute).Truncate(time.Second))
	ended := func(code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: at}}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "logging", Name: "agent-x", UID: "pod-x"}, Spec: corev1.PodSpec{NodeName: "a"}}
	w.is(events.Pod, pod, events.Event{Source: "kubelet"})
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning,
		InitContainerStatuses: []corev1.ContainerStatus{{Name: "init", State: ended(0, "Completed")}},
		ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", RestartCount: 3, LastTerminationState: ended(137, "OOMKilled")},
			{Name: "proxy"},
			{Name: "once", State: ended(2, "Error")}}}
	w.is(events.Pod, pod, events.Event{Source: "kubelet"})
	about := Subject{Kind: events.Pod, Key: events.Key{Namespace: "logging", Name: "agent-x"}}
	want := []Exit{{Container: "main", Restarts: 3, Ended: true, Code: 137, Reason: "OOMKilled", At: at.UTC()},
		{Container: "once", Ended: true, Code: 2, Reason: "Error", At: at.UTC()}}
	check := func(want []Exit, about Subject) {
		t.Helper()
		h := w.ask()
		x, err := h.WhyAt(t.Context(), h.Span().Last, about)
		if err != nil || !reflect.DeepEqual(x.Containers, want) {
			t.Errorf("%+v, %v, want %+v", x.Containers, err, want)
		}
	}
	check(want, about)
	w.gone(events.Pod, about.Key, pod.UID)
	check(want, about)
	check(nil, Subject{Kind: events.Pod, Key: about.Key, Field: "status.phase"})
}

// TestCut: an explanation that is cut says how much it is.
func TestCut(t *testing.T) {
	for _, x := range []struct{ depth, steps, more int }{{0, 3, 0}, {1, 1, 2}, {3, 3, 0}, {9, 3, 0}} {
		e := Explanation{Steps: make([]Step, 3)}
		if e.Cut(x.depth); len(e.Steps) != x.steps || e.More != x.more {
			t.Errorf("cut to %d: %d steps and %d more", x.depth, len(e.Steps), e.More)
		}
	}
}
