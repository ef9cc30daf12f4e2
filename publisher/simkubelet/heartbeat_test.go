package simkubelet

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// A kubelet renews every ten seconds from the moment that it is Ready, and not
// any more once it is lost.
func TestHeartbeat(t *testing.T) {
	since := time.Date(2026, 11, 24, 12, 0, 3, 0, time.UTC)
	for _, test := range []struct {
		name      string
		simulated string
		ready     corev1.ConditionStatus
		after     time.Duration
		want      time.Duration // after since; negative: no heartbeat
	}{
		{"just ready", "true", corev1.ConditionTrue, 0, 0},
		{"between two", "true", corev1.ConditionTrue, 19 * time.Second, 10 * time.Second},
		{"at one", "true", corev1.ConditionTrue, time.Hour, time.Hour},
		{"before it was", "true", corev1.ConditionTrue, -time.Minute, 0},
		{"lost", "true", corev1.ConditionUnknown, time.Hour, 0},
		{"not yet there", "true", "", 0, -1},
		{"of another kind", "", corev1.ConditionTrue, time.Hour, -1},
	} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{events.LabelSimulated: test.simulated}}}
		if test.ready != "" {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: test.ready, LastTransitionTime: metav1.NewTime(since)}}
		}
		at, ok := Heartbeat(n, since.Add(test.after))
		if ok != (test.want >= 0) || ok && !at.Equal(since.Add(test.want)) {
			t.Errorf("%s: %v, %v; want %v after %v", test.name, at, ok, test.want, since)
		}
	}
}
