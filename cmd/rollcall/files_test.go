package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector/sets"
	"rollcall/testdata/manifests"
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

// TestManifestsInside: every manifest of testdata/manifests is in the program,
// and it is said what it shows.
//
// finding U2
func TestManifestsInside(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "manifests", "*.yaml"))
	if err != nil || len(files) < 5 || len(files) != len(manifests.Names()) {
		t.Errorf("%d files, %v; in the program are %v", len(files), err, manifests.Names())
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := manifests.Read(name); !ok || !bytes.HasSuffix(data, want) {
			t.Errorf("%s is not in the program as it is on the disk", name)
		}
		if manifests.About(name) == "" {
			t.Errorf("nothing is said of %s", name)
		}
	}
	if _, ok := manifests.Read("../manifests/nginx"); ok {
		t.Error("a name is a path")
	}
}
