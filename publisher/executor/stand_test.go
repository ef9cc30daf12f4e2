package executor_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/drive"
	"rollcall/events/drive/drivetest"
	"rollcall/events/memlog"
	"rollcall/publisher/executor"
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
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid of node " + name), Labels: map[string]string{events.LabelSimulated: "true"}}}
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
	seq, err := b.log.Append(b.t.Context(), events.Entry{Event: events.Event{ID: b.id(), Type: typ, Source: "test", At: b.now, Body: body}})
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
	return b.append(events.ObjectType(k, events.VerbDeleted), events.Gone{Ref: events.Ref{Kind: k, Key: key, UID: "gone"}})
}

func (b *bench) plan(cs ...events.Command) events.Seq {
	b.t.Helper()
	info, err := b.log.Info(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return b.append(events.Planned, &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: dsKey, UID: "ds-1"}, Basis: events.Basis{Seq: info.Last, Now: b.now}, Commands: cs})
}

func podRef(name string, uid types.UID) events.Ref {
	return events.Ref{Kind: events.Pod, Key: events.Key{Namespace: dsKey.Namespace, Name: name}, UID: uid}
}

func create(pod, on string) events.Command {
	return events.Command{Do: events.CreatePod, Ref: podRef(pod, uidOf(pod)), Node: on, NodeUID: node(on).UID, Revision: hash, Reason: events.Missing}
}

func do(verb events.Verb, pod, on string) events.Command {
	return events.Command{Do: verb, Ref: podRef(pod, uidOf(pod)), Node: on, NodeUID: node(on).UID, Reason: events.Rollout}
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
	b      *bench
	screen *events.Screen
	party  drive.Party
	seq    events.Seq
}

func (b *bench) executor(w executor.World) *hand {
	return &hand{b: b, screen: events.NewScreen(), party: executor.New(b.s, w)}
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
		h.party.Observe(h.screen.Take(e), h.b.now)
		h.seq = e.Seq
	}
}

// step performs the next due step and reports whether there was one.
func (h *hand) step() bool {
	steps := h.party.Due(h.b.now, 1)
	if len(steps) == 0 {
		return false
	}
	h.party.Done(steps[0], steps[0].Perform(context.Background(), drivetest.At(h.b.now, h.b.log)), h.b.now)
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

// change appends agent-1 changed by f.
func (b *bench) change(f func(*corev1.Pod)) {
	b.t.Helper()
	pod := b.pod(podKey)
	f(pod)
	b.put(events.Pod, events.VerbUpdated, pod)
}
