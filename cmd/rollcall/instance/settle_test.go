package instance

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector/sets"
)

// TestStall: a rollout is stalled when its condition says so and this run has
// given it its time: the condition may be of a run before.
func TestStall(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	set := func(progress time.Duration, status corev1.ConditionStatus) *sets.DaemonSet {
		return &sets.DaemonSet{Progress: start.Add(progress), Settings: events.Settings{Deadline: time.Minute},
			Object: &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{Conditions: []appsv1.DaemonSetCondition{
				{Type: controller.ConditionStalled, Status: status, Message: "1 nodes: n1 (no pod)"}}}}}
	}
	for name, c := range map[string]struct {
		ds   *sets.DaemonSet
		now  time.Duration
		want bool
	}{
		"of a run before":  {set(-time.Hour, corev1.ConditionTrue), 59 * time.Second, false},
		"had its time":     {set(-time.Hour, corev1.ConditionTrue), time.Minute, true},
		"moved since":      {set(30*time.Second, corev1.ConditionTrue), time.Minute, false},
		"not said to be":   {set(-time.Hour, corev1.ConditionFalse), time.Hour, false},
		"long after moved": {set(30*time.Second, corev1.ConditionTrue), 90 * time.Second, true},
	} {
		if why := stall(c.ds, start, start.Add(c.now)); (why != "") != c.want {
			t.Errorf("%s: stalled %q, want %v", name, why, c.want)
		}
	}
}
