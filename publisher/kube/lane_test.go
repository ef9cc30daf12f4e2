package kube

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// rig is lanes over a log that a test appends to by hand.
type rig struct {
	*Lanes
	t   *testing.T
	seq events.Seq
}

func newRig(t *testing.T) *rig {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	return &rig{&Lanes{Subjects: subjects, Objects: table.New(table.History{}), Missed: func() []events.Ref { return nil }}, t, 0}
}

// hear tells of an object, and says which types of events the log got.
func (r *rig) hear(kind events.Kind, o metav1.Object, gone bool) []events.Type {
	r.t.Helper()
	s, err := read(kind, o, gone)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.tell(s)
}

func (r *rig) tell(s *Seen) (types []events.Type) {
	r.t.Helper()
	for again := true; again; {
		var e events.Entry
		var ok bool
		if e, ok, again = r.Tell(s); !ok {
			return types
		}
		r.seq++
		e.Seq = r.seq
		if code, why := events.Doubt(&e.Event); code != "" {
			r.t.Errorf("%s is doubted: %s %s", e.Type, code, why)
		}
		r.Objects.Take(e.Event)
		types = append(types, e.Type)
	}
	return types
}

func metaOf(name, uid, rv string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(uid), ResourceVersion: rv, CreationTimestamp: metav1.Unix(1e9, 0)}
}

func daemonPod(name, uid, rv string) *corev1.Pod {
	yes := true
	p := &corev1.Pod{ObjectMeta: metaOf(name, uid, rv)}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: "ds", Controller: &yes}}
	return p
}

func daemonSet(uid, rv string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: metaOf("agent", uid, rv), Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}}}
}

func wants(t *testing.T, what string, got []events.Type, want ...events.Type) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Heartbeats of 1,000 nodes are no facts, and neither is a change of the revision alone.
func TestHeartbeats(t *testing.T) {
	r := newRig(t)
	node := func(i, beat int) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i), UID: types.UID(fmt.Sprint(i)), ResourceVersion: fmt.Sprint(1 + 1000*beat + i)}}
		n.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, Time: &metav1.Time{Time: time.Unix(int64(beat), 0)}, Subresource: "status"}}
		n.Status.Images = make([]corev1.ContainerImage, beat)
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Unix(int64(beat), 0)}}
		return n
	}
	facts := 0
	for beat := range 3 {
		for i := range 1000 {
			facts += len(r.hear(events.Node, node(i, beat), false))
		}
	}
	if facts != 1000 {
		t.Errorf("1,000 nodes that beat thrice are %d facts", facts)
	}
	lost := node(7, 3)
	lost.Status.Conditions[0].Status = corev1.ConditionUnknown
	wants(t, "a lost node", r.hear(events.Node, lost, false), "node.updated")

	wants(t, "a set", r.hear(events.DaemonSet, daemonSet("ds", "5000"), false), "daemonset.created")
	wants(t, "nothing but a revision", r.hear(events.DaemonSet, daemonSet("ds", "5001"), false))
}

// What was heard before is told no more, also by another process, and nothing of an
// object after its end.
func TestStale(t *testing.T) {
	r := newRig(t)
	p := daemonPod("agent-1", "a", "10")
	wants(t, "created", r.hear(events.Pod, p.DeepCopy(), false), "pod.created")
	wants(t, "again", r.hear(events.Pod, p.DeepCopy(), false))
	p.ResourceVersion, p.Status.Phase = "12", corev1.PodRunning
	wants(t, "runs", r.hear(events.Pod, p.DeepCopy(), false), "pod.updated")
	old := daemonPod("agent-1", "a", "11")
	old.Status.Phase = corev1.PodPending
	wants(t, "older", r.hear(events.Pod, old, false))
	p.ResourceVersion = "14"
	wants(t, "gone", r.hear(events.Pod, p.DeepCopy(), true), "pod.deleted")
	wants(t, "gone again", r.hear(events.Pod, p.DeepCopy(), true))

	last := events.Event{Seq: r.seq, Body: events.Gone{Ref: events.Ref{Kind: events.Pod}, Data: mustData(t, p)}}
	s, _ := read(events.Pod, daemonPod("agent-1", "a", "10"), false)
	if !r.Over(s, &last) {
		t.Error("a pod is told of that was gone later")
	}
	s, _ = read(events.Pod, daemonPod("agent-1", "b", "15"), false)
	if r.Over(s, &last) {
		t.Error("a pod that was made again is taken for the one before")
	}
}

func mustData(t *testing.T, o metav1.Object) []byte {
	b, err := events.NewObject(events.Pod, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Data
}

// A list tells of the end of what it does not have, and of the end of an object whose
// name another one has.
func TestMissing(t *testing.T) {
	r := newRig(t)
	for i, name := range []string{"agent-1", "agent-2", "agent-3"} {
		r.hear(events.Pod, daemonPod(name, name, fmt.Sprint(10+i)), false)
	}
	r.hear(events.Pod, daemonPod("young", "young", "30"), false)
	gone := r.Lanes.Missing(events.Pod, 20, map[events.Key]bool{{Namespace: "default", Name: "agent-2"}: true})
	var names []string
	for _, s := range gone {
		names = append(names, s.Key.Name)
		wants(t, "missing", r.tell(s), "pod.deleted")
	}
	if !slices.Equal(names, []string{"agent-1", "agent-3"}) {
		t.Errorf("missing: %v", names)
	}
	wants(t, "made again", r.hear(events.Pod, daemonPod("agent-2", "other", "40"), false), "pod.deleted", "pod.created")
}

// That a list does not have an object is told as of the list: what another recorder has
// heard of the object before is old, though it is later than what this one has heard.
func TestMissingAtTheList(t *testing.T) {
	r := newRig(t)
	r.hear(events.Pod, daemonPod("agent-1", "a", "10"), false)
	gone := r.Lanes.Missing(events.Pod, 20, nil)[0]
	e, ok, _ := r.Tell(gone)
	if !ok {
		t.Fatal("not told")
	}
	for rv, old := range map[string]bool{"15": true, "20": true, "21": false} {
		s, _ := read(events.Pod, daemonPod("agent-1", "a", rv), false)
		if got := r.Over(s, &events.Event{Seq: 2, Body: e.Body}); got != old {
			t.Errorf("revision %s is old: %v", rv, got)
		}
	}
	r.tell(gone)
	r.hear(events.Pod, daemonPod("agent-2", "b", "30"), false)
	s, _ := read(events.Pod, daemonPod("agent-2", "c", "40"), false)
	e, _, again := r.Tell(s)
	if again = again && !r.Over(s, &events.Event{Seq: 3, Body: e.Body}); !again {
		t.Error("another object of the name is taken for old")
	}
}

// A field of a template that is not compiled in is in the fact, so that it is seen to be
// unknown; nothing else tells a DaemonSet that is read so from a typed one.
func TestUnknownFields(t *testing.T) {
	raw := []byte(`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"agent","namespace":"default","uid":"ds","resourceVersion":"6","generation":3,"creationTimestamp":"2026-01-01T00:00:00Z",
"managedFields":[{"manager":"m","operation":"Update","time":"2026-01-01T00:00:00Z"}]},"spec":{"selector":{"matchLabels":{"app":"agent"}},"template":{"metadata":{"labels":{"app":"agent"}},"spec":{"novelty":{"depth":3},"containers":[{"name":"a","image":"a:1"}]}}}}`)
	u := new(unstructured.Unstructured)
	if err := u.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	s, err := read(events.DaemonSet, u, false)
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := wire.Unknown(s.Data, &appsv1.DaemonSet{})
	if err != nil || !slices.Equal(unknown, []string{"spec.template.spec.novelty"}) {
		t.Errorf("unknown: %v, %v", unknown, err)
	}
	var ds appsv1.DaemonSet
	if err := s.Decode(&ds); err != nil || ds.Generation != 3 || ds.Spec.Template.Spec.Containers[0].Image != "a:1" || s.hands[wroteObject].manager != "m" || ds.ManagedFields != nil || ds.Kind != "" {
		t.Errorf("%+v by %v, %v", ds, s.hands, err)
	}
	unstructured.RemoveNestedField(u.Object, "spec", "template", "spec", "novelty")
	untyped, err := read(events.DaemonSet, u, false)
	if err != nil {
		t.Fatal(err)
	}
	typed, err := events.NewObject(events.DaemonSet, &ds)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]events.Object{"untyped": untyped.Object, "typed": typed} {
		var again appsv1.DaemonSet
		if err := o.Decode(&again); err != nil || !equality.Semantic.DeepEqual(ds, again) {
			t.Errorf("%s: %+v\nis not %+v, %v", name, ds, again, err)
		}
	}
}

// In a new epoch revisions of the one before say nothing, also those at which things
// were gone; within one they do.
func TestEpoch(t *testing.T) {
	r := newRig(t)
	last := events.Event{Seq: 7, Body: events.Gone{Ref: events.Ref{Kind: events.Pod}, Data: mustData(t, daemonPod("agent-1", "a", "100"))}}
	s, _ := read(events.Pod, daemonPod("agent-1", "b", "50"), false)
	if !r.Over(s, &last) {
		t.Error("within an epoch what is older than the end of an object is not old")
	}
	if r.Since = 8; r.Over(s, &last) {
		t.Error("a pod of a new epoch is old by a revision of the one before")
	}
	ids := map[ulid.ULID]bool{}
	for epoch := range 2 {
		ids[factID(epoch, s, "pod.created")] = true
	}
	if len(ids) != 2 {
		t.Error("facts of two epochs have one id")
	}
}

// A cluster that went back is seen, and is heard in a new epoch though its revisions
// are lower.
func TestRewound(t *testing.T) {
	r := newRig(t)
	r.hear(events.Pod, daemonPod("agent-1", "a", "100"), false)
	s, _ := read(events.Pod, daemonPod("agent-1", "a", "50"), false)
	s.Listed = true
	if !r.Lanes.Rewound(s) {
		t.Error("a list that is older than what was heard is not seen to be")
	}
	r.Since, r.Epoch = r.seq, 1
	withPhase(t, s, corev1.PodRunning)
	wants(t, "in a new epoch", r.tell(s), "pod.updated")
}

// withPhase makes a pod have a phase.
func withPhase(t *testing.T, s *Seen, phase corev1.PodPhase) {
	p := new(corev1.Pod)
	if err := s.Decode(p); err != nil {
		t.Fatal(err)
	}
	p.Status.Phase = phase
	s.Data = mustData(t, p)
}

// Pods of DaemonSets are looked at and those that one would adopt; others are not, but
// a pod that was told of is told of until it is gone.
func TestScope(t *testing.T) {
	r := newRig(t)
	bare := &corev1.Pod{ObjectMeta: metaOf("bare", "bare", "5")}
	bare.Labels = map[string]string{"app": "agent"}
	wants(t, "nobody's", r.hear(events.Pod, bare.DeepCopy(), false))
	r.hear(events.DaemonSet, daemonSet("ds", "6"), false)
	wants(t, "an orphan", r.hear(events.Pod, bare.DeepCopy(), false), "pod.created")
	other := daemonPod("web-1", "web", "7")
	other.OwnerReferences[0].Kind = "ReplicaSet"
	other.Labels = bare.Labels
	wants(t, "of a ReplicaSet", r.hear(events.Pod, other.DeepCopy(), false))
	bare.ResourceVersion, bare.Labels = "8", nil
	wants(t, "no orphan any more", r.hear(events.Pod, bare.DeepCopy(), false), "pod.updated")

	r.AllPods = true
	wants(t, "all", r.hear(events.Pod, other.DeepCopy(), false), "pod.created")
	r = newRig(t)
	r.Scope = events.Scope{Namespaces: []string{"kube-system"}}
	wants(t, "another namespace", r.hear(events.Pod, daemonPod("agent-9", "9", "9"), false))
}

// Who wrote is in the managed fields: of the status if only that differs, and nobody of
// a deletion.
func TestManager(t *testing.T) {
	r := newRig(t)
	at := func(s int64) *metav1.Time { return &metav1.Time{Time: time.Unix(s, 0)} }
	p := daemonPod("agent-1", "a", "10")
	fields := []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", Operation: "Update", Time: at(1)}, {Manager: "kubelet", Operation: "Update", Subresource: "status", Time: at(1)}}
	manager := func(change func()) string {
		change()
		p.ManagedFields = fields
		s, err := read(events.Pod, p.DeepCopy(), false)
		if err != nil {
			t.Fatal(err)
		}
		e, ok, _ := r.Tell(s)
		if !ok {
			t.Fatal("no fact")
		}
		r.seq++
		e.Seq = r.seq
		r.Objects.Take(e.Event)
		return e.Manager + " " + e.Verb
	}
	for _, c := range []struct {
		want   string
		change func()
	}{
		{"kube-controller-manager update", func() {}},
		{"kubelet update status", func() { p.ResourceVersion, p.Status.Phase = "11", corev1.PodRunning }},
		{" ", func() { p.ResourceVersion, p.DeletionTimestamp = "12", at(9) }},
	} {
		if got := manager(c.change); got != c.want {
			t.Errorf("by %q, want %q", got, c.want)
		}
	}
}

// What different watches say comes in the order of revisions as far as it is heard in
// time, and what is heard too late is held back by nobody.
func TestMerge(t *testing.T) {
	var m Merge[string]
	t0 := time.Unix(1000, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	m.Take(5, at(0), "pod")
	m.Take(4, at(50), "revision")
	m.Take(6, at(110), "node")
	if due := m.Due(at(199)); len(due) > 0 {
		t.Errorf("too early: %v", due)
	}
	if next, ok := m.Next(); !ok || !next.Equal(at(200)) {
		t.Errorf("next at %v", next)
	}
	if due := m.Due(at(200)); !slices.Equal(due, []string{"revision", "pod"}) {
		t.Errorf("due: %v", due)
	}
	m.Take(6, at(220), "mark")
	if rest := m.All(); !slices.Equal(rest, []string{"node", "mark"}) {
		t.Errorf("rest: %v", rest)
	}
	if _, ok := m.Next(); ok {
		t.Error("nothing waits, and something is due")
	}
}

// Cursors hold for their own log only, and for one that has what they speak of.
func TestCursors(t *testing.T) {
	of := Cursors{Log: "a", Seq: 10}
	is := Cursors{Log: "a", Seq: 9, Heard: map[string]uint64{"pods": 7}}
	if c, ok := readCursors(is.encode(), of); !ok || c.Heard["pods"] != 7 {
		t.Errorf("not read: %v", c)
	}
	for _, bad := range []Cursors{{Log: "b", Seq: 9}, {Log: "a", Seq: 11}, {Log: "a", Epoch: 1}, {Log: "a", Since: 3}, {Log: "a", Pods: true}, {Log: "a", Scope: events.Scope{Selector: "x"}}} {
		if _, ok := readCursors(bad.encode(), of); ok {
			t.Errorf("taken: %+v", bad)
		}
	}
}
