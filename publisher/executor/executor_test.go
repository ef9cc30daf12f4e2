package executor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/publisher/executor"
)

// D01-D11, D15.
func TestCreate(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	b.executor(executor.LogWorld{}).rest()
	b.want("5/0 pod.created")
	pod := b.pod(podKey)
	if name, _ := daemonpod.TargetNode(&pod.Spec); name != "a" || pod.Spec.NodeName != "" || pod.UID != uidOf("agent-1") {
		t.Errorf("pod %+v", pod)
	}
	if pod.Status.Phase != corev1.PodPending || pod.Labels[daemonpod.RevisionLabel] != hash || len(pod.Spec.Tolerations) != 6 {
		t.Errorf("pod %+v", pod)
	}
}

// A kubelet takes what is bound to its node: a daemon pod of a real node is made
// so, in one event, unless gates hold it back.
func TestCreateOnARealNode(t *testing.T) {
	b := newBench(t)
	real := node("a")
	real.Labels = nil
	b.put(events.Node, events.VerbUpdated, real)
	b.plan(create("agent-1", "a"), create("agent-2", "b"))
	b.executor(executor.LogWorld{}).rest()
	b.want("6/0 pod.created", "6/1 pod.created")
	if on := b.pod(podKey).Spec.NodeName; on != "a" {
		t.Errorf("the pod of a real node is bound to %q", on)
	}
	other := events.Key{Namespace: dsKey.Namespace, Name: "agent-2"}
	if on := b.pod(other).Spec.NodeName; on != "" {
		t.Errorf("the pod of a simulated node is bound to %q before its kubelet takes it", on)
	}

	gated := newBench(t)
	ds := daemonSet()
	ds.Spec.Template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
	gated.put(events.ControllerRevision, events.VerbUpdated, revision(t, ds))
	gated.put(events.Node, events.VerbUpdated, real)
	gated.plan(create("agent-1", "a"))
	gated.executor(executor.LogWorld{}).rest()
	if on := gated.pod(podKey).Spec.NodeName; on != "" {
		t.Errorf("a pod with a gate is bound to %q", on)
	}
}

// A bound pod is given its grace period, and keeps its last state when gone.
func TestDeleteGivesGrace(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	h := b.executor(executor.LogWorld{})
	h.rest()
	b.change(func(p *corev1.Pod) { p.Spec.NodeName = "a" })
	b.plan(do(events.DeletePod, "agent-1", "a"))
	h.rest()
	pod := b.pod(podKey)
	if !pod.DeletionTimestamp.Equal(ptr.To(metav1.NewTime(start.Add(30*time.Second)))) || *pod.DeletionGracePeriodSeconds != 30 {
		t.Errorf("deleted at %v, grace %v", pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds)
	}
	if len(pod.OwnerReferences) != 1 {
		t.Error("the pod lost its owner")
	}
}

// A name can be used again that a copy of an old fact, or what is no event,
// stands under: nobody believes those, but the next event comes after them.
func TestCreateBehindWhatNobodyBelieves(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	h := b.executor(executor.LogWorld{})
	h.rest()
	all := b.all()
	born := all[len(all)-1]
	b.plan(do(events.DeletePod, "agent-1", "a")) // it is gone at once: no kubelet has it
	h.rest()
	b.log.AppendRaw(born.Subject, born.Raw)
	again := create("agent-1", "a")
	again.UID = "again"
	b.plan(again)
	h.rest()
	if pod := b.pod(podKey); pod == nil || pod.UID != "again" {
		t.Fatalf("pod %+v, want the new one", pod)
	}
	b.log.AppendRaw(born.Subject, []byte("hello"))
	last := do(events.DeletePod, "agent-1", "a")
	last.UID = "again"
	b.plan(last)
	h.rest()
	if _, gone := b.all()[len(b.all())-1].Body.(events.Gone); !gone {
		t.Error("the pod is still there")
	}
}

func TestAdoptAndRelease(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	h := b.executor(executor.LogWorld{})
	h.rest()
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "Thing", Name: "x", UID: "x"}
	b.change(func(p *corev1.Pod) { p.OwnerReferences = append(p.OwnerReferences, other) })
	b.plan(do(events.ReleasePod, "agent-1", "a"))
	h.rest()
	if refs := b.pod(podKey).OwnerReferences; len(refs) != 1 || refs[0] != other {
		t.Errorf("owners after release: %v", refs)
	}
	b.plan(do(events.AdoptPod, "agent-1", "a"))
	h.rest()
	if c := metav1.GetControllerOf(b.pod(podKey)); c == nil || c.UID != "ds-1" || len(b.pod(podKey).OwnerReferences) != 2 {
		t.Errorf("owners after adoption: %v", b.pod(podKey).OwnerReferences)
	}
}

// A world that refuses is an outcome; one that cannot be reached is asked again.
func TestRefusalAndTrouble(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"), create("agent-2", "b"))
	w := &troubled{LogWorld: executor.LogWorld{Admit: func(_ context.Context, p *corev1.Pod) error {
		if p.Name == "agent-1" {
			return &executor.Refusal{Reason: "Forbidden", Message: "exceeded quota"}
		}
		return nil
	}}, trouble: 3}
	h := b.executor(w)
	h.rest()
	if at, ok := h.party.Next(); !ok || !at.After(b.now) {
		t.Fatalf("no later try: %v, %v", at, ok)
	}
	for range 4 {
		b.now = b.now.Add(time.Minute)
		h.rest()
	}
	b.want("5/1 pod.created", "5/0 command.failed Forbidden")
}

type troubled struct {
	executor.LogWorld
	trouble int
}

func (w *troubled) Create(ctx context.Context, c executor.Creation) (*corev1.Pod, error) {
	if w.trouble > 0 {
		w.trouble--
		return nil, errors.New("connection refused")
	}
	return w.LogWorld.Create(ctx, c)
}

// otherWorld returns pods of its own, as a real cluster does.
type otherWorld struct{ executor.LogWorld }

func (otherWorld) Delete(_ context.Context, d executor.Deletion) (*corev1.Pod, bool, error) {
	pod := &corev1.Pod{ObjectMeta: d.Pod.ObjectMeta, Spec: corev1.PodSpec{Hostname: "elsewhere"}}
	pod.DeletionTimestamp = ptr.To(metav1.NewTime(d.At))
	return pod, false, nil
}

// A pod that is deleted stays what it was but for its metadata, of which alone
// the executor has read it, unless the world says that it is something else.
func TestDeleteKeepsTheRest(t *testing.T) {
	for name, w := range map[string]executor.World{"log": executor.LogWorld{}, "other": otherWorld{}} {
		b := newBench(t)
		b.plan(create("agent-1", "a"))
		h := b.executor(w)
		h.rest()
		b.change(func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status.Phase, p.Status.PodIP = "a", corev1.PodRunning, "10.0.0.1"
			p.Annotations = map[string]string{"a": "b"}
		})
		want := b.pod(podKey)
		b.plan(do(events.DeletePod, "agent-1", "a"))
		h.rest()
		got := b.pod(podKey)
		if got.DeletionTimestamp == nil {
			t.Fatalf("%s: not deleted", name)
		}
		if name == "other" {
			want.Spec, want.Status = corev1.PodSpec{Hostname: "elsewhere"}, corev1.PodStatus{}
		}
		want.DeletionTimestamp, want.DeletionGracePeriodSeconds, want.Generation = got.DeletionTimestamp, got.DeletionGracePeriodSeconds, got.Generation
		if !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("%s: %+v\nwant %+v", name, got, want)
		}
	}
}
