package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
)

// TestTellRollout: the status of a rollout is kubectl's, with what it waits for;
// a stalled one ends with exit code 3 and its cause on one line, and one that has
// no end is refused.
//
// finding U6
func TestTellRollout(t *testing.T) {
	ds := &appsv1.DaemonSet{}
	ds.Name, ds.Generation = "agent", 2
	ds.Spec.UpdateStrategy.Type = appsv1.RollingUpdateDaemonSetStrategyType
	tell := func() (text string, done bool, err error) {
		var out bytes.Buffer
		s := &session{out: newOutput(&out, func(error) {})}
		_, done, err = s.tellRollout(ds, "")
		return out.String(), done, err
	}
	say := func(progressing, stalled string) {
		ds.Status.Conditions = []appsv1.DaemonSetCondition{{Type: "Progressing", Status: "True", Message: progressing}}
		if stalled != "" {
			ds.Status.Conditions = append(ds.Status.Conditions, appsv1.DaemonSetCondition{Type: "Stalled", Status: "True", Message: stalled})
		}
	}
	for _, c := range []struct {
		set  func()
		want string
		done bool
	}{
		{func() {}, "Waiting for daemon set spec update to be observed...\n", false},
		{func() { ds.Status.ObservedGeneration, ds.Status.DesiredNumberScheduled = 2, 4 },
			"Waiting for daemon set \"agent\" rollout to finish: 0 out of 4 new pods have been updated...\n", false},
		{func() {
			ds.Status.UpdatedNumberScheduled = 4
			say("4 of 4 nodes; paused by annotation rollcall/paused", "")
		},
			"Waiting for daemon set \"agent\" rollout to finish: 0 of 4 updated pods are available...\n  paused by annotation rollcall/paused\n", false},
		{func() { say("4 of 4 nodes; held by alerts/errors until 2026-11-26T10:00:00Z: too many errors", "") },
			"Waiting for daemon set \"agent\" rollout to finish: 0 of 4 updated pods are available...\n  held by alerts/errors until 2026-11-26T10:00:00Z: too many errors\n", false},
		{func() { ds.Status.NumberAvailable = 4 }, "daemon set \"agent\" successfully rolled out\n", true},
	} {
		c.set()
		if text, done, err := tell(); text != c.want || done != c.done || err != nil {
			t.Errorf("%q, %v, %v; want %q", text, done, err, c.want)
		}
	}
	ds.Status.NumberAvailable = 3
	say("3 of 4 nodes", "1 nodes: n1 (new pod is not ready)\nand more")
	var refusal *events.Error
	if _, _, err := tell(); !errors.As(err, &refusal) || refusal.Exit != events.ExitHalt || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "n1 (new pod") {
		t.Errorf("the end of a watch: %v", err)
	}
	ds.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	if _, _, err := tell(); !errors.As(err, &refusal) || refusal.Code != "E-CLI-STRATEGY" {
		t.Errorf("a rollout without an end: %v", err)
	}
	if as := asRolled(&events.Charter{Mode: events.Rollouts}, ds); as != ds {
		t.Error("what nobody replaces is rolled out")
	}
	ds.Annotations = map[string]string{events.AnnotationRollout: `{"maxUnavailable":"2"}`}
	if as := asRolled(&events.Charter{Mode: events.Rollouts}, ds); as != ds {
		t.Error("what asks for it with a value that is none, and is not replaced, is rolled out")
	}
	ds.Annotations = map[string]string{events.AnnotationRollout: `{"maxUnavailable":2}`}
	for mode, want := range map[events.Mode]appsv1.DaemonSetUpdateStrategyType{events.Rollouts: appsv1.RollingUpdateDaemonSetStrategyType, events.Shadow: appsv1.OnDeleteDaemonSetStrategyType} {
		if as := asRolled(&events.Charter{Mode: mode}, ds); as.Spec.UpdateStrategy.Type != want {
			t.Errorf("mode %s: %s", mode, as.Spec.UpdateStrategy.Type)
		}
	}
}
