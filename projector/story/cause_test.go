package story

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// finding U6: the live view says why a rollout stands still.
func TestRolloutCause(t *testing.T) {
	ds := &appsv1.DaemonSet{}
	ds.Namespace, ds.Name = "logging", "agent"
	say := func(progressing, stalled string) {
		ds.Status.Conditions = []appsv1.DaemonSetCondition{{Type: "Progressing", Status: "True", Message: progressing},
			{Type: "Stalled", Status: "False"}}
		if stalled != "" {
			ds.Status.Conditions[1] = appsv1.DaemonSetCondition{Type: "Stalled", Status: "True", Message: stalled}
		}
	}
	say("1 of 4 nodes are up to date", "")
	if got := RolloutCause(ds); got != "" {
		t.Errorf("on its way: %q", got)
	}
	say("1 of 4 nodes are up to date; paused by annotation rollcall/paused", "")
	if got := RolloutLine(ds, nil); !strings.Contains(got, "paused by annotation rollcall/paused") {
		t.Errorf("paused: %q", got)
	}
	say("1 of 4 nodes are up to date", "3 nodes: n1 (new pod is not ready)\nand more")
	if got := RolloutLine(ds, nil); !strings.Contains(got, "STALLED 3 nodes: n1") {
		t.Errorf("stalled: %q", got)
	}
	ds.Generation = 2
	if got := Stalled(ds); got != "" {
		t.Errorf("of the generation before: %q", got)
	}
}
