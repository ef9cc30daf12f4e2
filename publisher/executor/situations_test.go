package executor_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/publisher/executor"
)

// situations are what a command finds when its turn comes, after the pod
// agent-1 was created and bound to a.
var situations = []struct {
	name  string
	then  func(b *bench)
	doing events.Command
	want  string
}{
	{"node gone", func(b *bench) { b.drop(events.Node, events.Key{Name: "b"}) }, create("agent-2", "b"), "command.overtaken NodeGone"},
	{"node of the same name", func(b *bench) {
		n := node("b")
		n.UID = "other"
		b.put(events.Node, events.VerbCreated, n)
	}, create("agent-2", "b"), "command.overtaken NodeGone"},
	{"DaemonSet gone", func(b *bench) { b.drop(events.DaemonSet, dsKey) }, create("agent-2", "b"), "command.overtaken DaemonSetGone"},
	{"DaemonSet of the same name", func(b *bench) {
		ds := daemonSet()
		ds.UID = "ds-2"
		b.put(events.DaemonSet, events.VerbCreated, ds)
	}, create("agent-2", "b"), "command.overtaken DaemonSetGone"},
	{"DaemonSet being deleted", func(b *bench) {
		ds := daemonSet()
		ds.DeletionTimestamp = ptr.To(metav1.NewTime(start))
		b.put(events.DaemonSet, events.VerbUpdated, ds)
	}, create("agent-2", "b"), "command.overtaken DaemonSetGone"},
	{"revision gone", func(b *bench) {
		b.drop(events.ControllerRevision, events.Key{Namespace: "logging", Name: "agent-" + hash})
	}, create("agent-2", "b"), "command.overtaken RevisionGone"},
	{"pod is there", nil, create("agent-1", "a"), "command.overtaken Exists"},
	{"another pod of the name", nil, events.Command{Do: events.CreatePod, Ref: podRef("agent-1", "other"), Node: "a", NodeUID: node("a").UID,
		Revision: hash}, "command.failed AlreadyExists"},
	{"pod gone", func(b *bench) { b.drop(events.Pod, podKey) }, do(events.DeletePod, "agent-1", "a"), "command.overtaken PodGone"},
	{"pod of the same name", nil, events.Command{Do: events.DeletePod, Ref: podRef("agent-1", "other"), Node: "a"}, "command.overtaken PodGone"},
	{"already terminating", func(b *bench) { b.change(func(p *corev1.Pod) { p.DeletionTimestamp = ptr.To(metav1.NewTime(start)) }) },
		do(events.DeletePod, "agent-1", "a"), "command.overtaken Terminating"},
	{"terminating, node gone", func(b *bench) {
		b.change(func(p *corev1.Pod) { p.DeletionTimestamp = ptr.To(metav1.NewTime(start)) })
		b.drop(events.Node, events.Key{Name: "a"})
	}, do(events.DeletePod, "agent-1", "a"), "pod.deleted"},
	{"terminating, node gone, held by a finalizer", func(b *bench) {
		b.change(func(p *corev1.Pod) {
			p.DeletionTimestamp, p.Finalizers = ptr.To(metav1.NewTime(start)), []string{"example.com/x"}
		})
		b.drop(events.Node, events.Key{Name: "a"})
	}, do(events.DeletePod, "agent-1", "a"), "command.overtaken Terminating"},
	{"of another owner", func(b *bench) { b.change(func(p *corev1.Pod) { p.OwnerReferences[0].UID = "ds-2" }) },
		do(events.DeletePod, "agent-1", "a"), "command.overtaken NotOwned"},
	{"delete", nil, do(events.DeletePod, "agent-1", "a"), "pod.updated"},
	{"delete, no finalizer, node gone", func(b *bench) { b.drop(events.Node, events.Key{Name: "a"}) },
		do(events.DeletePod, "agent-1", "a"), "pod.deleted"},
	{"delete, node of the same name", func(b *bench) {
		n := node("a")
		n.UID = "other"
		b.put(events.Node, events.VerbCreated, n)
	}, do(events.DeletePod, "agent-1", "a"), "pod.deleted"},
	{"delete, unbound", func(b *bench) { b.change(func(p *corev1.Pod) { p.Spec.NodeName = "" }) },
		do(events.DeletePod, "agent-1", "a"), "pod.deleted"},
	{"delete, Failed", func(b *bench) { b.change(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }) },
		do(events.DeletePod, "agent-1", "a"), "pod.deleted"},
	{"delete, no grace", func(b *bench) {
		b.change(func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0) })
	},
		do(events.DeletePod, "agent-1", "a"), "pod.deleted"},
	{"delete, unbound with finalizer", func(b *bench) {
		b.change(func(p *corev1.Pod) { p.Spec.NodeName, p.Finalizers = "", []string{"example.com/x"} })
	}, do(events.DeletePod, "agent-1", "a"), "pod.updated"},
	{"delete names no node", nil, events.Command{Do: events.DeletePod, Ref: podRef("agent-1", uidOf("agent-1"))}, "pod.updated"},
	{"adopt", func(b *bench) { b.change(func(p *corev1.Pod) { p.OwnerReferences = nil }) },
		do(events.AdoptPod, "agent-1", "a"), "pod.updated"},
	{"adopt, has a controller", nil, do(events.AdoptPod, "agent-1", "a"), "command.overtaken Owned"},
	{"adopt, not selected", func(b *bench) { b.change(func(p *corev1.Pod) { p.OwnerReferences, p.Labels = nil, nil }) },
		do(events.AdoptPod, "agent-1", "a"), "command.overtaken NotSelected"},
	{"adopt, terminating", func(b *bench) {
		b.change(func(p *corev1.Pod) { p.OwnerReferences, p.DeletionTimestamp = nil, ptr.To(metav1.NewTime(start)) })
	}, do(events.AdoptPod, "agent-1", "a"), "command.overtaken Terminating"},
	{"adopt, DaemonSet gone", func(b *bench) {
		b.change(func(p *corev1.Pod) { p.OwnerReferences = nil })
		b.drop(events.DaemonSet, dsKey)
	}, do(events.AdoptPod, "agent-1", "a"), "command.overtaken DaemonSetGone"},
	{"release", nil, do(events.ReleasePod, "agent-1", "a"), "pod.updated"},
	{"release, of another owner", func(b *bench) { b.change(func(p *corev1.Pod) { p.OwnerReferences[0].UID = "ds-2" }) },
		do(events.ReleasePod, "agent-1", "a"), "command.overtaken NotOwned"},
	{"a command of tomorrow", nil, events.Command{Do: "MovePod", Ref: podRef("agent-1", "")}, "command.failed UnknownCommand"},
}

// What a command finds decides what answers it.
func TestOvertakenAndFailed(t *testing.T) {
	for _, c := range situations {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.plan(create("agent-1", "a"))
			b.executor(executor.LogWorld{}).rest()
			b.change(func(p *corev1.Pod) { p.Spec.NodeName = "a" })
			if c.then != nil {
				c.then(b)
			}
			at := b.plan(c.doing)
			h := b.executor(executor.LogWorld{})
			h.rest()
			b.want("5/0 pod.created", fmt.Sprintf("%d/0 %s", at, c.want))
			if n := h.party.(*executor.Executor).Pending(); n != 0 {
				t.Errorf("%d commands are pending", n)
			}
		})
	}
}
