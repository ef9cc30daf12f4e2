package controller_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/projector/table"
	"rollcall/publisher/simkubelet"
)

// until follows the log until an object of that name is gone.
func (s *stack) until(gone events.Kind, key events.Key) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), time.Hour)
	defer stop()
	for e, err := range s.log.Tail(ctx, 0) {
		if err != nil {
			s.t.Fatalf("%s %s is not gone: %v", gone, key, err)
		}
		if g, ok := e.Body.(events.Gone); ok && g.Kind == gone && g.Key == key {
			return
		}
	}
}

// final folds the whole log, and demands that nothing is under way or left.
func (s *stack) final() *projector.State {
	s.t.Helper()
	st := projector.New("")
	for e, err := range s.log.Read(s.t.Context(), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		projector.Fold(st, e)
	}
	if err := st.Check(); err != nil {
		s.t.Error(err)
	}
	if n, left := st.PendingCommands(), st.Owners().Open(); n+left > 0 {
		s.t.Errorf("%d commands without an answer, %d objects to be collected", n, left)
	}
	if again, err := replay.Verify(s.t.Context(), s.log); err != nil || len(again.Differences) > 0 {
		s.t.Errorf("verify: %v %v", err, again.First())
	}
	return st
}

func partial(ns, name string, owners ...metav1.OwnerReference) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name,
		UID: types.UID("uid-" + ns + "-" + name), OwnerReferences: owners}}
}

func ownedBy(k events.Kind, o metav1.Object) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: api[k], Kind: string(k), Name: o.GetName(), UID: o.GetUID(), BlockOwnerDeletion: ptr.To(true)}
}

// TestOwnerGoes deletes, in the foreground, the owner of a DaemonSet that runs
// and of 700 objects that own each other, with the real loop, executor and
// kubelets, with two controllers, and with acknowledgements that get lost.
func TestOwnerGoes(t *testing.T) {
	for name, c := range map[string]struct {
		controllers int
		fault       memlog.Fault
	}{"one controller": {1, memlog.None}, "two controllers": {2, memlog.None}, "lost answers": {2, memlog.LoseAck}, "lost appends": {1, memlog.LoseAppend}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, c.controllers, simkubelet.DefaultOptions())
				defer s.end()
				for n := range simkubelet.NewNodes(4, 1) {
					n.Spec.Taints = nil
					s.tell(events.Node, events.VerbCreated, n)
				}
				owner := partial("kube-system", "all")
				s.tell(events.Job, events.VerbCreated, owner)
				ds := daemonSet("agent", "agent:v1", intstr.FromInt32(1))
				ds.OwnerReferences = []metav1.OwnerReference{ownedBy(events.Job, owner)}
				s.tell(events.DaemonSet, events.VerbCreated, ds)
				for i := range 350 {
					rs := partial("kube-system", fmt.Sprintf("rs-%d", i), ownedBy(events.Job, owner))
					s.tell(events.ReplicaSet, events.VerbCreated, rs)
					s.tell(events.ConfigMap, events.VerbCreated, partial("kube-system", rs.Name, ownedBy(events.ReplicaSet, rs)))
				}
				s.tell(events.ConfigMap, events.VerbCreated, partial("other", "stays"))
				s.settled(1, 4)
				n := 0
				s.log.Inject(func([]events.Entry) memlog.Fault {
					if n++; n%7 == 0 {
						return c.fault
					}
					return memlog.None
				})
				owner.DeletionTimestamp, owner.Finalizers = ptr.To(metav1.Now()), []string{metav1.FinalizerDeleteDependents}
				s.tell(events.Job, events.VerbUpdated, owner)
				s.until(events.Job, events.Key{Namespace: "kube-system", Name: "all"})
				s.log.Inject(nil)
				synctest.Wait()
				st := s.final()
				for kind, want := range map[events.Kind]int{events.ConfigMap: 1, events.ReplicaSet: 0, events.Pod: 0, events.DaemonSet: 0, events.ControllerRevision: 0} {
					if got := len(st.List(kind, "")); got != want {
						t.Errorf("%d of kind %s are left, want %d", got, kind, want)
					}
				}
			})
		})
	}
}

// TestLostPod: a pod bound to a node that never was goes after a minute, and
// not before, though somebody changes it meanwhile; one whose node comes in that
// time stays.
//
// finding c15
func TestLostPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, simkubelet.DefaultOptions())
		defer s.end()
		at := func(name, node string) *corev1.Pod {
			return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: node}}
		}
		began := time.Now()
		s.tell(events.Pod, events.VerbCreated, at("early", "later"))
		s.tell(events.Pod, events.VerbCreated, at("lost", "nosuch"))
		time.AfterFunc(lostFor/2, func() {
			s.tell(events.Node, events.VerbCreated, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "later", UID: "later"}})
			changed := at("lost", "nosuch")
			changed.Labels = map[string]string{"a": "b"}
			s.tell(events.Pod, events.VerbUpdated, changed)
		})
		s.until(events.Pod, events.Key{Namespace: "x", Name: "lost"})
		if took := time.Since(began); took < lostFor || took > lostFor+time.Second {
			t.Errorf("gone after %s, want %s", took, lostFor)
		}
		if left := s.final().List(events.Pod, ""); len(left) != 1 || left[0].Key.Name != "early" {
			t.Errorf("%v is left, want the pod whose node came", left)
		}
	})
}

// lostFor is how long a pod may be on a node that is not there.
const lostFor = time.Minute

// TestCollectorAlone: what is left behind is collected where somebody else
// reconciles, and DaemonSets are left to them.
func TestCollectorAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 0, simkubelet.DefaultOptions())
		defer s.end()
		state := projector.Open(s.log, projector.Options{})
		s.part(func(ctx context.Context) error {
			return state.Run(ctx, controller.NewGarbageCollector(s.subjects, state.State(), controller.Options{}))
		})
		node := simkubelet.NewNode("n1", 0, 1)
		node.Spec.Taints = nil
		s.tell(events.Node, events.VerbCreated, node)
		s.tell(events.DaemonSet, events.VerbCreated, daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
		s.tell(events.ConfigMap, events.VerbCreated, partial("x", "left", ownedBy(events.ReplicaSet, partial("x", "gone"))))
		s.until(events.ConfigMap, events.Key{Namespace: "x", Name: "left"})
		synctest.Wait()
		if n := len(s.final().List(events.Pod, "")); n != 0 {
			t.Errorf("%d pods of a DaemonSet that nobody reconciles", n)
		}
	})
}

// TestForegroundGoesInOrder: an owner is gone after what it owns.
func TestForegroundGoesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, simkubelet.DefaultOptions())
		defer s.end()
		owner := partial("x", "web")
		s.tell(events.Deployment, events.VerbCreated, owner)
		ref := ownedBy(events.Deployment, owner)
		ref.APIVersion = "apps/v1"
		middle := partial("x", "web-1", ref)
		s.tell(events.ReplicaSet, events.VerbCreated, middle)
		s.tell(events.Secret, events.VerbCreated, partial("x", "leaf", ownedBy(events.ReplicaSet, middle)))
		owner.Finalizers, owner.DeletionTimestamp = []string{metav1.FinalizerDeleteDependents}, ptr.To(metav1.Now())
		s.tell(events.Deployment, events.VerbUpdated, owner)
		s.until(events.Deployment, events.Key{Namespace: "x", Name: "web"})
		s.final()
		var gone []events.Kind
		for e, err := range s.log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if g, ok := e.Body.(events.Gone); ok {
				gone = append(gone, g.Kind)
			}
		}
		if fmt.Sprint(gone) != "[Secret ReplicaSet Deployment]" {
			t.Errorf("gone in the order %v", gone)
		}
	})
}

// TestVerifyFindsAnotherCollection changes a recorded reason, a command and a basis.
func TestVerifyFindsAnotherCollection(t *testing.T) {
	e := newEstate(1)
	e.create(events.ConfigMap, events.Key{Namespace: "x", Name: "a"}, func(o metav1.Object) {
		o.SetOwnerReferences([]metav1.OwnerReference{ownedBy(events.ConfigMap, partial("x", "gone"))})
	})
	if !e.collect() || e.collect() {
		t.Fatal("collected not once")
	}
	recorded, _, err := e.log.Latest(ctx, e.subjects.Plan(events.Key{}))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*events.Plan){
		"reason": func(c *events.Plan) { c.Commands[0].Reason = events.Orphaned },
		"more":   func(c *events.Plan) { c.Commands = append(c.Commands, c.Commands[0]) },
		"basis":  func(c *events.Plan) { c.Basis.Seq += 1000 },
		"early":  func(c *events.Plan) { c.Basis.Seq = 0 },
	} {
		changed := events.Decode(recorded.Raw)
		change(changed.Body.(*events.Plan))
		raw, err := events.Encode(changed)
		if err != nil {
			t.Fatal(err)
		}
		e.log.Rewrite(recorded.Seq, raw)
		again, err := replay.Verify(ctx, e.log)
		if diff := again.First(); err != nil || diff == nil || diff.Seq != recorded.Seq || diff.String() == "" {
			t.Errorf("%s: got %v %v, want a difference at #%d", name, diff, err, recorded.Seq)
		}
	}
	e.log.Rewrite(recorded.Seq, recorded.Raw)
	if again, err := replay.Verify(ctx, e.log); err != nil || len(again.Differences) > 0 || again.Equal != 1 {
		t.Errorf("the log as it was: %d, %v %v", again.Equal, again.First(), err)
	}
}

// TestCollectionIsBounded: of many objects so many are named that a log takes
// the plan, also with the longest names.
func TestCollectionIsBounded(t *testing.T) {
	e := newEstate(1)
	long := func(n int) string { return fmt.Sprintf("%0253d", n) }
	var owners []metav1.OwnerReference
	for range 40 {
		owners = append(owners, ownedBy(events.ConfigMap, partial("x", long(len(owners)))))
		owners[len(owners)-1].UID = types.UID(fmt.Sprintf("%036d", len(owners)))
	}
	owners = append(owners, ownedBy("Widget", partial("x", "stays")))
	for i := range events.MaxCommands + 1 {
		o := partial(long(1)[190:], long(i), owners...)
		o.UID = types.UID(fmt.Sprintf("%036d", i))
		body, err := events.NewObject(events.PersistentVolumeClaim, o)
		if err != nil {
			t.Fatal(err)
		}
		projector.Fold(e.state, events.Event{Seq: e.state.Seq() + 1, Type: "persistentvolumeclaim.created", Body: body})
	}
	c := controller.PlanGC(e.state, e.now)
	if x := c.Commands[0]; len(c.Commands) != events.MaxCommands || x.Do != events.DisownObject || len(x.Owners) != 10 {
		t.Errorf("%d commands, the first with %d owners: %s", len(c.Commands), len(x.Owners), x.Do)
	}
	raw, err := events.Encode(events.Event{Type: events.GCPlanned, Body: c})
	if err != nil || len(raw) > events.MaxSize {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}

// An owner of a custom kind is taken for gone when it is, wherever it would have
// to be, from the definition of its kind on: also when that is gone too. Before, it
// is nobody's business here.
func TestCustomOwnersGo(t *testing.T) {
	for scope, owner := range map[string]*metav1.PartialObjectMetadata{"Namespaced": partial("x", "owner"), "Cluster": partial("", "owner")} {
		t.Run(scope, func(t *testing.T) {
			e := newEstate(1)
			kind := events.CustomKind("example.com", "Gadget")
			fold := func(k events.Kind, verb string, o metav1.Object) {
				t.Helper()
				body, err := events.NewObject(k, o)
				e.must(err)
				ev := events.Event{Seq: e.state.Seq() + 1, Type: events.ObjectType(k, verb), Body: body}
				if verb == events.VerbDeleted {
					ev.Body = events.Gone(body)
				}
				projector.Fold(e.state, ev)
				e.must(e.state.Check())
			}
			collected := func(want bool) {
				t.Helper()
				raw, err := e.state.Keyframe()
				e.must(err)
				again, err := projector.ReadKeyframe(raw, "", table.New(table.History{}))
				e.must(err)
				for _, st := range []*projector.State{e.state, again} {
					p := controller.PlanGC(st, e.now)
					if got := p != nil && len(p.Commands) == 1 && p.Commands[0].Do == events.DeleteObject && p.Commands[0].Kind == events.ConfigMap; got != want {
						t.Errorf("collected %v, want %v: %+v", got, want, p)
					}
				}
			}
			ref := metav1.OwnerReference{APIVersion: "example.com/v2", Kind: "Gadget", Name: owner.Name, UID: owner.UID}
			fold(events.ConfigMap, events.VerbCreated, partial("x", "owned", ref))
			collected(false)
			definition := &extensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "gadgets.example.com", UID: "d"},
				Spec: extensionsv1.CustomResourceDefinitionSpec{Group: "example.com", Scope: extensionsv1.ResourceScope(scope),
					Names: extensionsv1.CustomResourceDefinitionNames{Kind: "Gadget", Plural: "gadgets"}}}
			fold(events.CustomResourceDefinition, events.VerbCreated, definition)
			collected(true)
			fold(kind, events.VerbCreated, owner)
			collected(false)
			fold(kind, events.VerbDeleted, owner)
			collected(true)
			fold(events.CustomResourceDefinition, events.VerbDeleted, definition)
			collected(true)
		})
	}
}
