package gate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/memlog"
	"rollcall/publisher/gate"
)

const agent = `apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
spec:
  selector:
    matchLabels: {app: agent}
  template:
    metadata:
      labels: {app: agent}
    spec:
      containers:
      - name: main
        image: agent:1
`

// store folds a log anew for every view, and no further than it is asked to.
// after runs once, when a view is over: it is where another writer is faster.
type store struct {
	log   *memlog.Log
	after func()
}

type objects struct {
	now  map[events.Ref]events.Object // refs without uid
	last map[events.Ref]events.Seq
}

func (s *store) fold(ctx context.Context, to events.Seq) (objects, error) {
	o := objects{map[events.Ref]events.Object{}, map[events.Ref]events.Seq{}}
	for e, err := range s.log.Read(ctx, 0) {
		if err != nil {
			return o, err
		}
		if e.Seq > to {
			break
		}
		ref := events.RefOf(e)
		ref.UID = ""
		o.last[ref] = e.Seq
		switch b := e.Body.(type) {
		case events.Object:
			o.now[ref] = b
		case events.Gone:
			delete(o.now, ref)
		}
	}
	return o, nil
}

func (s *store) View(ctx context.Context, atLeast events.Seq, f func(gate.Objects)) error {
	o, err := s.fold(ctx, atLeast)
	if err != nil {
		return err
	}
	f(o)
	if after := s.after; after != nil {
		s.after = nil
		after()
	}
	return nil
}

func (o objects) Object(k events.Kind, key events.Key) (events.Object, events.Seq, bool) {
	ref := events.Ref{Kind: k, Key: key}
	b, ok := o.now[ref]
	return b, o.last[ref], ok
}

func (o objects) List(k events.Kind, namespace string) (out []events.Object) {
	for ref, b := range o.now {
		if ref.Kind == k && (namespace == "" || ref.Key.Namespace == namespace) {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b events.Object) int { return a.Key.Compare(b.Key) })
	return out
}

// world is a log with a gate to it.
type world struct {
	t        *testing.T
	log      *memlog.Log
	store    *store
	gate     *gate.Gate
	subjects events.Subjects
	now      time.Time
	n        byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, subjects: subjects, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.log = memlog.New(subjects, func() time.Time { return w.now })
	w.store = &store{log: w.log}
	w.gate = gate.New(w.log, subjects, w.store, func() time.Time { return w.now }, w.id, w.uid)
	return w
}

func (w *world) id() ulid.ULID {
	w.n++
	return ulid.ULID{15: w.n, 14: 1}
}

func (w *world) uid() types.UID {
	w.n++
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", w.n))
}

// put appends an object as another writer does.
func (w *world) put(k events.Kind, verb string, o metav1.Object) events.Seq {
	w.t.Helper()
	b, err := events.NewObject(k, o)
	if err != nil {
		w.t.Fatal(err)
	}
	e := events.Event{ID: w.id(), Type: events.ObjectType(k, verb), Source: "test", At: w.now, Body: b}
	if verb == events.VerbDeleted {
		e.Body = events.Gone{Ref: b.Ref}
	}
	seq, err := w.log.Append(w.t.Context(), events.Entry{Event: e})
	if err != nil {
		w.t.Fatal(err)
	}
	return seq
}

// load reads an object of the present state.
func load[T any](w *world, k events.Kind, namespace, name string) *T {
	w.t.Helper()
	o, err := w.store.fold(w.t.Context(), math.MaxUint64)
	if err != nil {
		w.t.Fatal(err)
	}
	b, _, ok := o.Object(k, events.Key{Namespace: namespace, Name: name})
	if !ok {
		w.t.Fatalf("there is no %s %s/%s", k, namespace, name)
	}
	v := new(T)
	if err := b.Decode(v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) agent() *appsv1.DaemonSet {
	w.t.Helper()
	return load[appsv1.DaemonSet](w, events.DaemonSet, "default", "agent")
}

// log returns the types of all events.
func (w *world) types() (out []string) {
	w.t.Helper()
	for e, err := range w.log.Read(w.t.Context(), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, string(e.Type))
	}
	return out
}

func (w *world) apply(data string) (gate.Reply, error) {
	return w.gate.Apply(w.t.Context(), gate.ApplyRequest{Actor: "ann", File: "f.yaml", Manifest: data})
}

func (w *world) mustApply(data string) gate.Reply {
	w.t.Helper()
	r, err := w.apply(data)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) nodes(names ...string) {
	w.t.Helper()
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"rollcall/simulated": "true"}}}
	if _, err := w.gate.AddNodes(w.t.Context(), gate.AddNodesRequest{Node: node, Names: names}); err != nil {
		w.t.Fatal(err)
	}
}

var dsRef = gate.Object{Name: "agent"}

// said returns what a reply says, one line an object.
func said(t *testing.T, r gate.Reply, err error) string {
	t.Helper()
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, x := range r.Results {
		lines = append(lines, x.What)
	}
	return strings.Join(lines, "\n")
}

func check(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func checkCode(t *testing.T, err error, code string, exit int, parts ...string) {
	t.Helper()
	var e *events.Error
	if !errors.As(err, &e) || e.Code != code || e.Exit != exit {
		t.Fatalf("got %v, want %s with exit %d", err, code, exit)
	}
	for _, p := range parts {
		if !strings.Contains(e.Error(), p) {
			t.Errorf("%q lacks %q", e.Error(), p)
		}
	}
}

// TestApply creates, changes and leaves a DaemonSet.
func TestApply(t *testing.T) {
	w := newWorld(t)
	r := w.mustApply(agent)
	check(t, said(t, r, nil), "daemonset.apps/agent created")
	ds := w.agent()
	if r.Seq() != 1 || r.Results[0].Ref.UID != string(ds.UID) || r.Results[0].ID == "" || ds.Generation != 1 {
		t.Errorf("reply %+v of generation %d", r, ds.Generation)
	}
	ds.Status.NumberReady = 3
	w.put(events.DaemonSet, events.VerbUpdated, ds)
	r = w.mustApply(agent)
	check(t, said(t, r, nil), "daemonset.apps/agent unchanged")
	if r.Seq() != 0 || len(w.types()) != 2 {
		t.Errorf("a no-op appended: %v", w.types())
	}
	r = w.mustApply(strings.Replace(agent, "agent:1", "agent:2", 1))
	check(t, said(t, r, nil), "daemonset.apps/agent configured")
	if ds := w.agent(); ds.Generation != 2 || ds.Status.NumberReady != 3 || ds.Annotations[daemonpod.GenerationAnnotation] != "2" {
		t.Errorf("generation %d, ready %d, %v", ds.Generation, ds.Status.NumberReady, ds.Annotations)
	}
	e, _, err := w.log.Latest(t.Context(), w.subjects.Object(events.DaemonSet, events.Key{Namespace: "default", Name: "agent"}))
	if err != nil || e.Actor != "ann" || e.Source != gate.Source || !e.At.Equal(w.now) || e.ID.String() != r.Results[0].ID {
		t.Errorf("event %+v, %v", e, err)
	}
}

// TestApplySeveral is row M8: one append for all, or nothing.
func TestApplySeveral(t *testing.T) {
	w := newWorld(t)
	class := "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 5\n"
	_, err := w.apply(agent + class + "---\nkind: Node\napiVersion: v1\nmetadata: {name: Big}\n")
	checkCode(t, err, "E-MAN-NAME", events.ExitInput, "document 3 of 3")
	if got := w.types(); len(got) != 0 {
		t.Fatalf("appended %v", got)
	}
	batches := 0
	w.log.Inject(func([]events.Entry) memlog.Fault { batches++; return memlog.None })
	r := w.mustApply(agent + class)
	check(t, said(t, r, nil), "daemonset.apps/agent created\npriorityclass.scheduling.k8s.io/high created")
	if batches != 1 || r.Results[0].Seq != 1 || r.Results[1].Seq != 2 {
		t.Errorf("%d appends, %+v", batches, r.Results)
	}
	_, err = w.apply(agent + "---\n" + agent)
	checkCode(t, err, "E-MAN-DOC", events.ExitInput, "document 2 of 2", "document 1 holds it too")
}

// TestImmutableSelector is row M15 through the gate.
func TestImmutableSelector(t *testing.T) {
	w := newWorld(t)
	w.mustApply(agent)
	_, err := w.apply(strings.ReplaceAll(agent, "app: agent", "app: other"))
	checkCode(t, err, "E-MAN-IMMUTABLE", events.ExitInput, "field is immutable", "f.yaml: line 7")
	if len(w.types()) != 1 {
		t.Errorf("appended %v", w.types())
	}
}

// TestPreconditions: a manifest that was read from the cluster is refused if
// the object has changed since.
func TestPreconditions(t *testing.T) {
	w := newWorld(t)
	w.mustApply(agent)
	for _, line := range []string{"resourceVersion: '7'", "uid: other"} {
		_, err := w.apply(strings.Replace(agent, "  name: agent\n", "  name: agent\n  "+line+"\n", 1))
		checkCode(t, err, "E-GATE-CONFLICT", events.ExitInput, "remove metadata.")
	}
	w.mustApply(strings.Replace(agent, "  name: agent\n", "  name: agent\n  resourceVersion: '1'\n", 1))
}

// TestLostFence: another writer is faster, and what it wrote is kept.
func TestLostFence(t *testing.T) {
	w := newWorld(t)
	w.mustApply(agent)
	w.store.after = func() {
		ds := w.agent()
		ds.Status.NumberReady = 9
		w.put(events.DaemonSet, events.VerbUpdated, ds)
	}
	w.mustApply(strings.Replace(agent, "agent:1", "agent:2", 1))
	if ds := w.agent(); ds.Status.NumberReady != 9 || ds.Generation != 2 {
		t.Errorf("ready %d, generation %d: the other write was lost", ds.Status.NumberReady, ds.Generation)
	}
}

// TestFenceOfSeveral: of a new and an old object the old one is fenced.
func TestFenceOfSeveral(t *testing.T) {
	w := newWorld(t)
	w.mustApply(agent)
	w.store.after = func() {
		ds := w.agent()
		ds.Status.NumberReady = 9
		w.put(events.DaemonSet, events.VerbUpdated, ds)
	}
	w.mustApply("{apiVersion: v1, kind: Namespace, metadata: {name: prod}}\n---\n" + strings.Replace(agent, "agent:1", "agent:2", 1))
	if ds := w.agent(); ds.Status.NumberReady != 9 || ds.Generation != 2 {
		t.Errorf("ready %d, generation %d: the other write was lost", ds.Status.NumberReady, ds.Generation)
	}
	check(t, fmt.Sprint(w.types()), "[daemonset.created daemonset.updated namespace.created daemonset.updated]")
}

// TestFenceLostForever: the tries are bounded.
func TestFenceLostForever(t *testing.T) {
	w := newWorld(t)
	w.mustApply(agent)
	var meddle func()
	meddle = func() {
		ds := w.agent()
		ds.Status.NumberReady++
		w.put(events.DaemonSet, events.VerbUpdated, ds)
		w.store.after = meddle
	}
	w.store.after = meddle
	_, err := w.gate.Restart(t.Context(), gate.RolloutRequest{Object: dsRef})
	checkCode(t, err, "E-GATE-CONFLICT", events.ExitFailure, "10 tries")
}

// TestCreateRaces: of two creators the second changes the object of the first.
func TestCreateRaces(t *testing.T) {
	w := newWorld(t)
	w.store.after = func() { w.mustApply(agent) }
	r := w.mustApply(agent)
	check(t, said(t, r, nil), "daemonset.apps/agent unchanged")
	check(t, fmt.Sprint(w.types()), "[daemonset.created]")
}

// TestTombstone: a name can be used again, with another uid.
func TestTombstone(t *testing.T) {
	w := newWorld(t)
	first := w.mustApply(agent)
	if _, err := w.gate.DeleteDaemonSet(t.Context(), gate.DeleteDaemonSetRequest{Object: dsRef}); err != nil {
		t.Fatal(err)
	}
	second := w.mustApply(agent)
	check(t, fmt.Sprint(w.types()), "[daemonset.created daemonset.deleted daemonset.created]")
	if second.Results[0].Ref.UID == first.Results[0].Ref.UID {
		t.Error("the same uid twice")
	}
}

// TestUnknownOutcome: the same events are appended again, so that they are in
// the log once whichever way the first try went.
func TestUnknownOutcome(t *testing.T) {
	for name, fault := range map[string]memlog.Fault{"stored": memlog.LoseAck, "not stored": memlog.LoseAppend} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tries := 0
			w.log.Inject(func([]events.Entry) memlog.Fault {
				if tries++; tries < 3 {
					return fault
				}
				return memlog.None
			})
			r := w.mustApply(agent)
			if got := w.types(); len(got) != 1 || r.Seq() != 1 || tries != 3 {
				t.Errorf("%d tries, log %v, reply %+v", tries, got, r)
			}
		})
	}
}
