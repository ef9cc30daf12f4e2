package gate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/publisher/gate"
)

// TestDelete is group O: what each cascade writes.
func TestDelete(t *testing.T) {
	for cascade, want := range map[string]string{
		"":           "daemonset.deleted",
		"background": "daemonset.deleted",
		"Foreground": "daemonset.updated [foregroundDeletion]",
		"orphan":     "daemonset.updated [orphan]",
	} {
		t.Run(cascade, func(t *testing.T) {
			w := newWorld(t)
			w.mustApply(agent)
			req := gate.DeleteDaemonSetRequest{Object: dsRef, Cascade: metav1.DeletionPropagation(cascade)}
			r, err := w.gate.DeleteDaemonSet(t.Context(), req)
			check(t, said(t, r, err), `daemonset.apps "agent" deleted from default namespace`)
			got := w.types()[1]
			if got == "daemonset.updated" {
				ds := w.agent()
				got += fmt.Sprint(" ", ds.Finalizers)
				if ds.DeletionTimestamp == nil || !ds.DeletionTimestamp.Time.Equal(w.now) || ds.Generation != 2 {
					t.Errorf("deletion %v, generation %d", ds.DeletionTimestamp, ds.Generation)
				}
				if r, err := w.gate.DeleteDaemonSet(t.Context(), req); err != nil || r.Seq() != 0 {
					t.Errorf("deleted again: %+v, %v", r, err)
				}
				if _, err := w.gate.DeleteDaemonSet(t.Context(), gate.DeleteDaemonSetRequest{Object: dsRef}); err != nil || w.types()[2] != "daemonset.deleted" {
					t.Errorf("background after it: %v, %v", w.types(), err)
				}
			}
			check(t, got, want)
		})
	}
	w := newWorld(t)
	_, err := w.gate.DeleteDaemonSet(t.Context(), gate.DeleteDaemonSetRequest{Object: dsRef, Cascade: "all"})
	checkCode(t, err, "E-GATE-CASCADE", events.ExitInput)
}

func TestNotFound(t *testing.T) {
	w := newWorld(t)
	w.nodes("node-0012", "node-0013", "worker")
	w.mustApply(strings.Replace(agent, "  name: agent\n", "  name: agent\n  namespace: prod\n", 1))
	_, err := w.gate.Cordon(t.Context(), gate.NodesRequest{Names: []string{"node-012"}})
	checkCode(t, err, "E-GATE-NOTFOUND", events.ExitInput, "did you mean node-0012 or node-0013?")
	_, err = w.gate.Restart(t.Context(), gate.RolloutRequest{Object: dsRef})
	checkCode(t, err, "E-GATE-NOTFOUND", events.ExitInput, "namespace prod has one")
	_, err = w.gate.DeletePod(t.Context(), gate.DeletePodRequest{Object: dsRef})
	checkCode(t, err, "E-GATE-NOTFOUND", events.ExitInput, "there is none at all")
}

// revision puts a ControllerRevision of an image.
func (w *world) revision(n int64, image string, owner types.UID) {
	w.t.Helper()
	ds := w.agent()
	ds.Spec.Template.Spec.Containers[0].Image = image
	data, err := daemonpod.RevisionData(&ds.Spec.Template)
	if err != nil {
		w.t.Fatal(err)
	}
	ref := daemonpod.ControllerRef(ds)
	ref.UID = owner
	w.put(events.ControllerRevision, events.VerbCreated, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("agent-%d-%s", n, owner), Namespace: "default", UID: types.UID(fmt.Sprint(n)), OwnerReferences: []metav1.OwnerReference{ref}},
		Data:       runtime.RawExtension{Raw: data}, Revision: n})
}

// TestUndo is 4.8: targets, messages and errors.
func TestUndo(t *testing.T) {
	w := newWorld(t)
	w.mustApply(agent)
	undo := func(n int64) string {
		r, err := w.gate.Undo(t.Context(), gate.UndoRequest{Object: dsRef, ToRevision: n})
		var e *events.Error
		if errors.As(err, &e) {
			return e.Code + " " + e.What
		}
		return said(t, r, err)
	}
	check(t, undo(0), "E-GATE-REVISION no last revision to roll back to")
	uid := w.agent().UID
	w.revision(1, "agent:0", uid)
	check(t, undo(0), "E-GATE-REVISION no last revision to roll back to")
	w.revision(3, "agent:1", uid)
	w.revision(2, "agent:foreign", "another")
	check(t, undo(2), "E-GATE-REVISION unable to find specified revision 2 in history")
	check(t, undo(-1), "E-GATE-REVISION unable to find specified revision -1 in history")
	check(t, undo(3), "daemonset.apps/agent skipped rollback (current template already matches revision 3)")
	check(t, undo(0), "daemonset.apps/agent rolled back")
	ds := w.agent()
	if c := ds.Spec.Template.Spec.Containers[0]; c.Image != "agent:0" || ds.Generation != 2 || ds.Annotations[daemonpod.GenerationAnnotation] != "2" {
		t.Errorf("image %s, generation %d", c.Image, ds.Generation)
	}
	check(t, undo(1), "daemonset.apps/agent skipped rollback (current template already matches revision 1)")
	check(t, undo(3), "daemonset.apps/agent rolled back")
}

// TestRestart is 4.9: one annotation, and not twice in one second.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.mustApply(agent)
	restart := func() (gate.Reply, error) {
		return w.gate.Restart(t.Context(), gate.RolloutRequest{Object: dsRef})
	}
	r, err := restart()
	check(t, said(t, r, err), "daemonset.apps/agent restarted")
	if ds := w.agent(); ds.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] != "2026-01-02T03:04:05Z" || ds.Generation != 2 {
		t.Errorf("%v, generation %d", ds.Spec.Template.Annotations, ds.Generation)
	}
	w.now = w.now.Add(999 * time.Millisecond)
	_, err = restart()
	checkCode(t, err, "E-GATE-RESTART", events.ExitFailure, "failed to create patch for agent: if restart has already been triggered within the past second, please wait before attempting to trigger another")
	w.now = w.now.Add(time.Millisecond)
	r, err = restart()
	check(t, said(t, r, err), "daemonset.apps/agent restarted")
	check(t, said(t, w.mustApply(agent), nil), "daemonset.apps/agent unchanged")
}

func TestImageAndPause(t *testing.T) {
	w := newWorld(t)
	w.mustApply(agent)
	image := func(is ...string) (gate.Reply, error) {
		return w.gate.SetImage(t.Context(), gate.SetImageRequest{Object: dsRef, Images: is})
	}
	r, err := image("main=agent:2")
	check(t, said(t, r, err), "daemonset.apps/agent image updated")
	r, err = image("*=agent:2")
	check(t, said(t, r, err), "daemonset.apps/agent unchanged")
	_, err = image("mian=agent:2")
	checkCode(t, err, "E-GATE-IMAGE", events.ExitInput, `unable to find container named "mian"`, "main")
	_, err = image("main")
	checkCode(t, err, "E-GATE-IMAGE", events.ExitInput)
	_, err = image("main= ")
	checkCode(t, err, "E-MAN-CONTAINER", events.ExitInput, "daemonset.apps/agent")
	on, off := gate.RolloutRequest{Object: dsRef}, gate.RolloutRequest{Object: dsRef}
	for _, want := range []string{"paused", "is paused already"} {
		r, err := w.gate.Pause(t.Context(), on)
		check(t, said(t, r, err), "daemonset.apps/agent "+want)
	}
	for _, want := range []string{"resumed", "is not paused"} {
		r, err := w.gate.Resume(t.Context(), off)
		check(t, said(t, r, err), "daemonset.apps/agent "+want)
	}
	if ds := w.agent(); ds.Generation != 2 {
		t.Errorf("generation %d: annotations raised it", ds.Generation)
	}
}

func TestDeletePod(t *testing.T) {
	w := newWorld(t)
	pod := func(name, node string, phase corev1.PodPhase) *corev1.Pod {
		grace := int64(7)
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
			Spec: corev1.PodSpec{NodeName: node, TerminationGracePeriodSeconds: &grace}, Status: corev1.PodStatus{Phase: phase}}
	}
	for _, tc := range []struct {
		pod  *corev1.Pod
		want string
	}{
		{pod("bound", "n1", corev1.PodRunning), "pod.updated"},
		{pod("unbound", "", corev1.PodPending), "pod.deleted"},
		{pod("failed", "n1", corev1.PodFailed), "pod.deleted"},
	} {
		w.put(events.Pod, events.VerbCreated, tc.pod)
		r, err := w.gate.DeletePod(t.Context(), gate.DeletePodRequest{Object: gate.Object{Name: tc.pod.Name}})
		check(t, said(t, r, err), fmt.Sprintf("pod %q deleted from default namespace", tc.pod.Name))
		got := w.types()
		check(t, got[len(got)-1], tc.want)
	}
	bound := load[corev1.Pod](w, events.Pod, "default", "bound")
	if bound.DeletionTimestamp == nil || !bound.DeletionTimestamp.Time.Equal(w.now.Add(7*time.Second)) || *bound.DeletionGracePeriodSeconds != 7 {
		t.Errorf("deletion %v", bound.DeletionTimestamp)
	}
	r, err := w.gate.DeletePod(t.Context(), gate.DeletePodRequest{Object: gate.Object{Name: "bound"}})
	check(t, said(t, r, err), "pod/bound is being deleted already")
}
