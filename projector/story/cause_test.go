package story

import (
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
)

// finding U6: the live view says why a rollout stands still, and a stalled one
// ends a watch with exit code 3 and its cause on one line.
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
	var err *events.Error
	if !errors.As(ErrRolloutStalled(ds), &err) || err.Exit != events.ExitHalt || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "n1 (new pod") {
		t.Errorf("the end of a watch: %v", err)
	}
	ds.Generation = 2
	if got := Stalled(ds); got != "" {
		t.Errorf("of the generation before: %q", got)
	}
}
