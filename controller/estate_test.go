package controller_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/drive/drivetest"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/publisher/executor"
)

// estate is a log with its fold and its executor, driven by hand: owners, what
// they own, namespaces and nodes, and somebody who makes and deletes them.
type estate struct {
	log      *memlog.Log
	subjects events.Subjects
	state    *projector.State
	executor *executor.Executor
	observed events.Seq // by the executor
	now      time.Time
	ids      uint64
	lives    int

	r     *rand.Rand
	judge *judge
}

// violation is what a history broke.
type violation struct {
	rule, why string
	at        events.Seq
}

func (e *estate) fail(rule, format string, args ...any) {
	panic(violation{rule, fmt.Sprintf(format, args...), e.state.Seq()})
}

func (e *estate) must(err error) {
	if err != nil {
		e.fail("ERROR", "%v", err)
	}
}

func newEstate(seed uint64) *estate {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		panic(err)
	}
	e := &estate{subjects: subjects, state: projector.New("test"), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		executor: executor.New(subjects, executor.LogWorld{}), r: rand.New(rand.NewPCG(seed, 0))}
	e.log = memlog.New(subjects, func() time.Time { return e.now })
	e.judge = &judge{e: e, bases: map[events.Seq]events.Seq{}, under: map[events.Ref]events.Cause{}, lost: map[events.Ref]time.Time{}}
	return e
}

// append appends one event and folds it. It reports whether the fence held.
func (e *estate) append(en events.Entry) bool {
	e.ids++
	binary.BigEndian.PutUint64(en.ID[8:], e.ids)
	if _, err := drivetest.At(e.now, e.log).Submit(ctx, en); errors.Is(err, events.ErrConflict) {
		return false
	} else {
		e.must(err)
	}
	e.fold()
	return true
}

// fold takes in what is in the log, and checks the state after each event.
func (e *estate) fold() {
	for ev, err := range e.log.Read(ctx, e.state.Seq()) {
		e.must(err)
		e.judge.event(ev)
		projector.Fold(e.state, ev)
		e.judge.adrift()
		if err := e.state.Check(); err != nil {
			e.fail("CHECK", "%s: %v", ev.Type, err)
		}
		if n, _ := e.state.Quarantined(); n > 0 {
			e.fail("CHECK", "%s is quarantined", ev.Type)
		}
	}
}

// api gives the groups of the kinds of an estate; of Widgets the log knows nothing.
var api = map[events.Kind]string{events.ConfigMap: "v1", events.Secret: "v1", events.Pod: "v1", events.Node: "v1",
	events.Namespace: "v1", events.PersistentVolume: "v1", events.ReplicaSet: "apps/v1", events.DaemonSet: "apps/v1",
	events.ControllerRevision: "apps/v1", events.Job: "batch/v1", "Widget": "example.com/v1"}

func clusterScoped(k events.Kind) bool {
	return k == events.Node || k == events.Namespace || k == events.PersistentVolume
}

// object returns an object as the log has it, to be changed; nil: it is not there.
func (e *estate) object(k events.Kind, key events.Key) metav1.Object {
	o, _, ok := e.state.Object(k, key)
	if !ok {
		return nil
	}
	into := blank(k)
	e.must(o.Decode(into))
	return into
}

func blank(k events.Kind) metav1.Object {
	switch k {
	case events.Pod:
		return &corev1.Pod{}
	case events.Node:
		return &corev1.Node{}
	case events.Namespace:
		return &corev1.Namespace{}
	case events.DaemonSet:
		return &appsv1.DaemonSet{}
	case events.ControllerRevision:
		return &appsv1.ControllerRevision{}
	}
	return &metav1.PartialObjectMetadata{}
}

func (e *estate) tell(k events.Kind, verb string, o metav1.Object) {
	body, err := events.NewObject(k, o)
	e.must(err)
	e.append(events.Entry{Event: events.Event{Type: events.ObjectType(k, verb), Source: "test", Body: body}})
}

func (e *estate) gone(k events.Kind, o metav1.Object) {
	body, err := events.NewObject(k, o)
	e.must(err)
	e.append(events.Entry{Event: events.Event{Type: events.ObjectType(k, events.VerbDeleted), Source: "test", Body: events.Gone(body)}})
}

// create makes an object, or another one of the same name, and returns it.
func (e *estate) create(k events.Kind, key events.Key, with func(metav1.Object)) {
	e.lives++
	o := blank(k)
	switch o := o.(type) {
	case *appsv1.DaemonSet:
		*o = *daemonSetOf(key.Name)
	case *corev1.Namespace:
		o.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	}
	o.SetName(key.Name)
	o.SetNamespace(key.Namespace)
	o.SetUID(types.UID(fmt.Sprintf("%s-%s-%d", k, key.Name, e.lives)))
	if with != nil {
		with(o)
	}
	e.tell(k, events.VerbCreated, o)
}

// update changes an object as an API server lets it be changed: without its
// last finalizer a deleted object is gone.
func (e *estate) update(k events.Kind, key events.Key, change func(metav1.Object)) {
	o := e.object(k, key)
	if o == nil {
		return
	}
	change(o)
	if grace := o.GetDeletionGracePeriodSeconds(); o.GetDeletionTimestamp() != nil && !held(o) && (grace == nil || *grace == 0) {
		e.gone(k, o)
		return
	}
	e.tell(k, events.VerbUpdated, o)
}

func held(o metav1.Object) bool {
	ns, ok := o.(*corev1.Namespace)
	return len(o.GetFinalizers()) > 0 || ok && len(ns.Spec.Finalizers) > 0
}

// delete deletes an object as an API server does.
func (e *estate) delete(k events.Kind, key events.Key, cascade string) {
	o := e.object(k, key)
	if o == nil || o.GetDeletionTimestamp() != nil {
		return
	}
	if cascade != "" {
		o.SetFinalizers(append(o.GetFinalizers(), cascade))
	}
	grace := int64(0)
	if p, ok := o.(*corev1.Pod); ok && p.Spec.NodeName != "" {
		grace = 30
	}
	if !held(o) && grace == 0 {
		e.gone(k, o)
		return
	}
	o.SetDeletionTimestamp(&metav1.Time{Time: e.now})
	o.SetDeletionGracePeriodSeconds(&grace)
	if ns, ok := o.(*corev1.Namespace); ok {
		ns.Status.Phase = corev1.NamespaceTerminating
	}
	e.tell(k, events.VerbUpdated, o)
}

// collect appends what is due, unless the fence says that it is old.
func (e *estate) collect() bool {
	c := controller.PlanGC(e.state, e.now)
	if c == nil {
		return false
	}
	e.judge.collection(c)
	en := controller.PlanEntry(c, e.subjects, e.state.LastPlan(events.Key{}))
	if !e.append(en) {
		e.fail("FENCE", "a collection of the present state was refused")
	}
	if e.append(en) {
		e.fail("FENCE", "the same collection was appended twice")
	}
	return true
}

// empty does what Kubernetes' namespace controller does for the namespaces that
// are being deleted: their pods go, then the rest, then they.
func (e *estate) empty() (some bool) {
	for _, ns := range e.state.List(events.Namespace, "") {
		o := e.object(events.Namespace, ns.Key).(*corev1.Namespace)
		if o.DeletionTimestamp == nil || len(o.Spec.Finalizers) == 0 {
			continue
		}
		pods, rest := e.content(o.Name)
		switch {
		case len(pods) > 0:
			some = e.deleteAll(pods) || some
		case len(rest) > 0:
			some = e.deleteAll(rest) || some
		default:
			e.update(events.Namespace, ns.Key, func(o metav1.Object) { o.(*corev1.Namespace).Spec.Finalizers = nil })
			some = true
		}
	}
	return some
}

// content returns what is in a namespace.
func (e *estate) content(ns string) (pods, rest []events.Ref) {
	for _, k := range slices.Sorted(maps.Keys(api)) {
		for _, o := range e.state.List(k, ns) {
			if k == events.Pod {
				pods = append(pods, o.Ref)
			} else if !clusterScoped(k) {
				rest = append(rest, o.Ref)
			}
		}
	}
	return pods, rest
}

func (e *estate) deleteAll(refs []events.Ref) (some bool) {
	for _, r := range refs {
		if o := e.object(r.Kind, r.Key); o != nil && o.GetDeletionTimestamp() == nil {
			e.delete(r.Kind, r.Key, "")
			some = true
		}
	}
	return some
}

// reconcile appends what is due for the DaemonSets.
func (e *estate) reconcile() (some bool) {
	for _, ns := range []string{"x", "y"} {
		k := events.Key{Namespace: ns, Name: "agent"}
		res := controller.Reconcile(e.state, k, e.now)
		if res.Plan != nil {
			e.judge.plan(res.Plan)
			some = e.append(controller.PlanEntry(res.Plan, e.subjects, e.state.LastPlan(k))) || some
		}
		for _, w := range res.Writes {
			en, err := w.Entry(e.subjects)
			e.must(err)
			some = e.append(en) || some
		}
	}
	return some
}

// execute lets the executor read up to a position (0: the end) and do so many steps.
func (e *estate) execute(to events.Seq, steps int) (some bool) {
	for range steps {
		for ev, err := range e.log.Read(ctx, e.observed) {
			e.must(err)
			if to != 0 && ev.Seq > to {
				break
			}
			e.executor.Observe(ev, e.now)
			e.observed = ev.Seq
		}
		due := e.executor.Due(e.now, 1)
		if len(due) == 0 {
			return some
		}
		err := due[0].Perform(ctx, drivetest.At(e.now, e.log))
		e.executor.Done(due[0], err, e.now)
		some = true
		e.fold()
	}
	return some
}

// kubelet binds pods and ends those that are to be ended.
func (e *estate) kubelet() (some bool) {
	for p := range e.state.Pods() {
		n := e.state.Node(p.Node)
		if n == nil || n.UID != p.NodeUID {
			continue
		}
		switch {
		case p.Deleting && !p.Held:
			e.gone(events.Pod, e.object(events.Pod, p.Key))
			some = true
		case p.Deleting && !p.Forced:
			e.update(events.Pod, p.Key, func(o metav1.Object) { o.SetDeletionGracePeriodSeconds(new(int64)) })
			some = true
		case !p.Deleting && !p.Bound:
			e.update(events.Pod, p.Key, func(o metav1.Object) { o.(*corev1.Pod).Spec.NodeName = p.Node })
			some = true
		}
	}
	return some
}

// rest lets everybody act until nothing happens.
func (e *estate) rest() {
	for range 300 {
		e.now = e.now.Add(time.Minute)
		did := []bool{e.reconcile(), e.collect(), e.execute(0, 1000), e.kubelet(), e.empty()}
		if !slices.Contains(did, true) && controller.GCDue(e.state).IsZero() {
			return
		}
	}
	e.fail("REST", "%d events and no rest", e.state.Seq())
}
