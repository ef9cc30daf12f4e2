package executor_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/publisher/executor"
)

// asking is a world that keeps what it was asked to make.
type asking struct {
	executor.LogWorld
	pod *corev1.Pod
}

func (w *asking) Create(_ context.Context, c executor.Creation) (*corev1.Pod, error) {
	w.pod = c.Pod
	return c.Pod, nil
}

// D5: what a priority class means is for the world to say. One that the log does not
// know keeps no pod from being made, and no number goes with the pod, which a server
// would refuse.
func TestPriorityIsTheWorlds(t *testing.T) {
	b := newBench(t)
	ds := daemonSet()
	ds.Spec.Template.Spec.PriorityClassName = "high"
	b.put(events.DaemonSet, events.VerbUpdated, ds)
	b.put(events.ControllerRevision, events.VerbUpdated, revision(t, ds))
	b.plan(create("agent-1", "a"))
	w := &asking{}
	b.executor(w).rest()
	if w.pod == nil || w.pod.Spec.PriorityClassName != "high" || w.pod.Spec.Priority != nil || w.pod.Spec.PreemptionPolicy != nil {
		t.Errorf("asked for %+v; the log says %v", w.pod, b.answers())
	}
}
