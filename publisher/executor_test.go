package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/memlog"
	"rollcall/publisher"
)

const hash = "bcdfghjklm"

var (
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dsKey  = events.Key{Namespace: "logging", Name: "agent"}
	podKey = events.Key{Namespace: "logging", Name: "agent-1"}
)

// bench is a log with a DaemonSet agent, its revision, and the nodes a and b.
type bench struct {
	t   *testing.T
	s   events.Subjects
	log *memlog.Log
	now time.Time
	ids uint64
}

func newBench(t *testing.T) *bench {
	t.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, s: s, now: start}
	b.log = memlog.New(s, func() time.Time { return b.now })
	b.put(events.DaemonSet, events.VerbCreated, daemonSet())
	b.put(events.ControllerRevision, events.VerbCreated, revision(t, daemonSet()))
	b.put(events.Node, events.VerbCreated, node("a"))
	b.put(events.Node, events.VerbCreated, node("b"))
	return b
}

func daemonSet() *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "logging", UID: "ds-1"}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}
	ds.Spec.Template.Labels = map[string]string{"app": "agent"}
	ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "agent:1"}}
	daemonpod.SetDaemonSetDefaults(ds)
	return ds
}

func revision(t *testing.T, ds *appsv1.DaemonSet) *appsv1.ControllerRevision {
	t.Helper()
	data, err := daemonpod.RevisionData(&ds.Spec.Template)
	if err != nil {
		t.Fatal(err)
	}
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: daemonpod.RevisionName(ds.Name, hash), Namespace: ds.Namespace, UID: "cr-1",
			Labels: map[string]string{daemonpod.RevisionLabel: hash}, OwnerReferences: []metav1.OwnerReference{daemonpod.ControllerRef(ds)}},
		Revision: 1, Data: runtime.RawExtension{Raw: data},
	}
}

func node(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid of node " + name)}}
}

func uidOf(pod string) types.UID { return types.UID("uid of " + pod) }

func (b *bench) id() ulid.ULID {
	b.ids++
	var id ulid.ULID
	copy(id[8:], fmt.Sprintf("%08d", b.ids))
	return id
}

func (b *bench) append(typ events.Type, body events.Body) events.Seq {
	b.t.Helper()
	seq, err := b.log.Append(b.t.Context(), events.Expect{}, events.Event{ID: b.id(), Type: typ, Source: "test", At: b.now, Body: body})
	if err != nil {
		b.t.Fatal(err)
	}
	return seq
}

func (b *bench) put(k events.Kind, verb string, o metav1.Object) events.Seq {
	b.t.Helper()
	body, err := events.NewObject(k, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.append(events.ObjectType(k, verb), body)
}

func (b *bench) drop(k events.Kind, key events.Key) events.Seq {
	b.t.Helper()
	return b.append(events.ObjectType(k, events.VerbDeleted), events.Gone{Ref: events.Ref{Kind: k, Key: key}})
}

func (b *bench) plan(cs ...events.Command) events.Seq {
	b.t.Helper()
	return b.append(events.Planned, &events.Plan{DaemonSet: dsKey, UID: "ds-1", Basis: events.Basis{Now: b.now}, Commands: cs})
}

func create(pod, on string) events.Command {
	return events.Command{Do: events.CreatePod, Pod: pod, UID: uidOf(pod), Node: on, NodeUID: node(on).UID, Revision: hash, Reason: events.Missing}
}

func do(verb events.Verb, pod, on string) events.Command {
	return events.Command{Do: verb, Pod: pod, UID: uidOf(pod), Node: on, NodeUID: node(on).UID, Reason: events.Rollout}
}

// all returns the whole log.
func (b *bench) all() []events.Event {
	b.t.Helper()
	var out []events.Event
	for e, err := range b.log.Read(context.Background(), 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// answers returns what answers each command, in order of the log.
func (b *bench) answers() []string {
	b.t.Helper()
	var out []string
	for _, e := range b.all() {
		if e.Cause.IsZero() {
			continue
		}
		text := fmt.Sprintf("%d/%d %s", e.Cause.Seq, e.Cause.Index, e.Type)
		if o, ok := e.Body.(events.Outcome); ok {
			text += " " + o.Reason
		}
		out = append(out, text)
	}
	return out
}

func (b *bench) pod(key events.Key) *corev1.Pod {
	b.t.Helper()
	e, ok, err := b.log.Latest(context.Background(), b.s.Object(events.Pod, key))
	if err != nil || !ok {
		b.t.Fatalf("pod %s: %v, %v", key, ok, err)
	}
	o, ok := e.Body.(events.Object)
	if !ok {
		return nil
	}
	pod := new(corev1.Pod)
	if err := o.Decode(pod); err != nil {
		b.t.Fatal(err)
	}
	return pod
}

// hand drives one party by hand, one step at a time.
type hand struct {
	b     *bench
	party publisher.Party
	seq   events.Seq
}

func (b *bench) executor(w publisher.World) *hand {
	return &hand{b: b, party: publisher.NewExecutor(b.s, w)}
}

// observe folds what is in the log up to a position; 0 is its end.
func (h *hand) observe(to events.Seq) {
	for e, err := range h.b.log.Read(context.Background(), h.seq) {
		if err != nil {
			h.b.t.Fatal(err)
		}
		if to != 0 && e.Seq > to {
			return
		}
		h.party.Observe(e)
		h.seq = e.Seq
	}
}

// step performs the next due step and reports whether there was one.
func (h *hand) step() bool {
	steps := h.party.Due(h.b.now, 1)
	if len(steps) == 0 {
		return false
	}
	h.party.Settle(steps[0], steps[0].Perform(context.Background(), h.b.log), h.b.now)
	return true
}

// rest works until nothing is due at the present time.
func (h *hand) rest() {
	for range 1000 {
		h.observe(0)
		if !h.step() {
			return
		}
	}
	h.b.t.Fatal("the party does not come to rest")
}

func (b *bench) want(answers ...string) {
	b.t.Helper()
	if got := b.answers(); !slices.Equal(got, answers) {
		b.t.Errorf("answers\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(answers, "\n     "))
	}
}

// D01-D11, D15.
func TestCreate(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	b.executor(publisher.LogWorld{}).rest()
	b.want("5/0 pod.created")
	pod := b.pod(podKey)
	if name, _ := daemonpod.TargetNode(&pod.Spec); name != "a" || pod.Spec.NodeName != "" || pod.UID != uidOf("agent-1") {
		t.Errorf("pod %+v", pod)
	}
	if pod.Status.Phase != corev1.PodPending || pod.Labels[daemonpod.RevisionLabel] != hash || *pod.Spec.Priority != 0 ||
		pod.Spec.ServiceAccountName != "default" || len(pod.Spec.Tolerations) != 6 {
		t.Errorf("pod %+v", pod)
	}
}

// What a command finds when its turn comes.
func TestOvertakenAndFailed(t *testing.T) {
	for _, c := range []struct {
		name  string
		then  func(b *bench) // after the pod agent-1 was created and bound to a
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
		{"another pod of the name", nil, events.Command{Do: events.CreatePod, Pod: "agent-1", UID: "other", Node: "a", NodeUID: node("a").UID,
			Revision: hash}, "command.failed AlreadyExists"},
		{"no such priority class", func(b *bench) {
			ds := daemonSet()
			ds.Spec.Template.Spec.PriorityClassName = "high"
			b.put(events.ControllerRevision, events.VerbUpdated, revision(b.t, ds))
		}, create("agent-2", "b"), "command.failed Forbidden"},
		{"pod gone", func(b *bench) { b.drop(events.Pod, podKey) }, do(events.DeletePod, "agent-1", "a"), "command.overtaken PodGone"},
		{"pod of the same name", nil, events.Command{Do: events.DeletePod, Pod: "agent-1", UID: "other", Node: "a"}, "command.overtaken PodGone"},
		{"already terminating", func(b *bench) { b.change(func(p *corev1.Pod) { p.DeletionTimestamp = ptr.To(metav1.NewTime(start)) }) },
			do(events.DeletePod, "agent-1", "a"), "command.overtaken Terminating"},
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
		{"delete names no node", nil, events.Command{Do: events.DeletePod, Pod: "agent-1", UID: uidOf("agent-1")}, "pod.updated"},
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
		{"a command of tomorrow", nil, events.Command{Do: "MovePod", Pod: "agent-1"}, "command.failed UnknownCommand"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.plan(create("agent-1", "a"))
			b.executor(publisher.LogWorld{}).rest()
			b.change(func(p *corev1.Pod) { p.Spec.NodeName = "a" })
			if c.then != nil {
				c.then(b)
			}
			at := b.plan(c.doing)
			h := b.executor(publisher.LogWorld{})
			h.rest()
			b.want("5/0 pod.created", fmt.Sprintf("%d/0 %s", at, c.want))
			if n := h.party.(*publisher.Executor).Pending(); n != 0 {
				t.Errorf("%d commands are pending", n)
			}
		})
	}
}

// change appends agent-1 changed by f.
func (b *bench) change(f func(*corev1.Pod)) {
	b.t.Helper()
	pod := b.pod(podKey)
	f(pod)
	b.put(events.Pod, events.VerbUpdated, pod)
}

// A bound pod is given its grace period, and keeps its last state when gone.
func TestDeleteGivesGrace(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	h := b.executor(publisher.LogWorld{})
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

func TestAdoptAndRelease(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	h := b.executor(publisher.LogWorld{})
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

// D12, and the admission of the API server.
func TestPriority(t *testing.T) {
	b := newBench(t)
	ds := daemonSet()
	ds.Spec.Template.Spec.PriorityClassName = "high"
	b.put(events.ControllerRevision, events.VerbUpdated, revision(t, ds))
	b.put(events.PriorityClass, events.VerbCreated, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high", UID: "pc"}, Value: 7})
	b.plan(create("agent-1", "a"))
	b.executor(publisher.LogWorld{}).rest()
	if p := b.pod(podKey); *p.Spec.Priority != 7 || p.Spec.PriorityClassName != "high" {
		t.Errorf("priority %v of %s", *p.Spec.Priority, p.Spec.PriorityClassName)
	}
}

// A world that refuses is an outcome; one that cannot be reached is asked again.
func TestRefusalAndTrouble(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"), create("agent-2", "b"))
	w := &troubled{LogWorld: publisher.LogWorld{Admit: func(p *corev1.Pod) *publisher.Refusal {
		if p.Name == "agent-1" {
			return &publisher.Refusal{Reason: "Forbidden", Message: "exceeded quota"}
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
	publisher.LogWorld
	trouble int
}

func (w *troubled) Create(ctx context.Context, p *corev1.Pod) (*corev1.Pod, error) {
	if w.trouble > 0 {
		w.trouble--
		return nil, errors.New("connection refused")
	}
	return w.LogWorld.Create(ctx, p)
}
