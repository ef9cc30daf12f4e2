package simtest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/drive"
	"rollcall/events/drive/drivetest"
	"rollcall/events/memlog"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/publisher/executor"
)

var foreignHistories = flag.Int("foreign-histories", 300, "histories of TestForeignWorld")

// foreignKinds are the kinds that are watched, each on its own.
var foreignKinds = []events.Kind{events.Node, events.Pod, events.DaemonSet, events.ControllerRevision}

// maxDelay is how far a watch is behind at most, and tick how often everybody acts.
const (
	maxDelay = 2 * time.Second
	tick     = 250 * time.Millisecond
)

// foreign is a history of a cluster that is not the log: the controller and the
// executor learn of it by watches, and act in it by calls.
type foreign struct {
	seed      uint64
	rng       *rand.Rand
	server    *foreignServer
	log       *memlog.Log
	writes    events.Log // log, as the controller and the executor append to it
	subjects  events.Subjects
	state     *projector.State
	parties   []drive.Party
	bridges   []*bridge
	lanes     map[objectAt]lane
	reasons   map[types.UID]events.Reason // of commands to delete a pod
	maxDown   int
	calm      bool
	foreigner bool // the revision of the cluster's own controller lacks a default
	ids       uint64
	crash     *crash // nil: nobody ends
	wrong     []string
}

// lane is what the log has of an object.
type lane struct {
	rv   uint64
	uid  types.UID
	seq  events.Seq
	gone bool
}

func (f *foreign) bad(format string, args ...any) {
	if len(f.wrong) < 5 {
		f.wrong = append(f.wrong, fmt.Sprintf("%s: ", f.server.now.Format("15:04:05.00"))+fmt.Sprintf(format, args...))
	}
}

func newForeign(t *testing.T, seed uint64) *foreign {
	s, err := events.NewSubjects("foreign")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 12))
	f := &foreign{seed: seed, rng: rng, server: newForeignServer(rand.New(rand.NewPCG(seed, 13)), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), subjects: s,
		maxDown: 1 + rng.IntN(2), foreigner: rng.IntN(2) == 0}
	f.log = memlog.New(s, func() time.Time { return f.server.now })
	f.writes = f.log
	f.start()
	f.server.webhook = []string{"", "", "", "", "hash", "labels", "owner", "pin"}[rng.IntN(8)]
	for i := range 1 + int(seed%2) {
		b := &bridge{foreign: f, rng: rand.New(rand.NewPCG(seed, uint64(20+i))), watches: map[events.Kind]*ear{}}
		for _, k := range foreignKinds {
			b.watches[k] = &ear{}
		}
		f.bridges = append(f.bridges, b)
	}
	return f
}

// start is a process that knows nothing but the log.
func (f *foreign) start() {
	f.state, f.lanes, f.reasons = projector.New("foreign"), map[objectAt]lane{}, map[types.UID]events.Reason{}
	f.parties = []drive.Party{controller.New(f.subjects, f.state, controller.Options{Writer: foreignWriter{f}, ID: f.id}),
		controller.NewGarbageCollector(f.subjects, f.state, controller.Options{ID: f.id}), executor.New(f.subjects, foreignPods{f})}
	f.observe()
}

func (f *foreign) id() ulid.ULID {
	f.ids++
	var id ulid.ULID
	_ = id.SetTime(uint64(f.server.now.UnixMilli()))
	return ulid.ULID(append(id[:6:6], fmt.Sprintf("%010d", f.ids)...))
}

// TestForeignWorld: in no history of a cluster that others rule does the controller do
// harm, and what the log says of it is so.
func TestForeignWorld(t *testing.T) {
	seen := map[string]int{}
	for seed := *first; seed < *first+uint64(*foreignHistories); seed++ {
		f := newForeign(t, seed)
		f.run()
		if len(f.wrong) > 0 {
			t.Fatalf("seed %d (webhook %q, %d bridges): %v\n(go test ./controller/simtest -run TestForeignWorld -first %d -foreign-histories 1)",
				seed, f.server.webhook, len(f.bridges), f.wrong, seed)
		}
		for _, c := range f.server.changes {
			seen[c.by]++
		}
	}
	t.Logf("%d histories; changes by %v", *foreignHistories, seen)
	for _, by := range []string{us, "user", "garbage collector", "pod collector", "rival"} {
		if seen[by] < *foreignHistories/20 {
			t.Errorf("only %d changes by %s", seen[by], by)
		}
	}
}

func (f *foreign) run() {
	began := f.server.now
	f.begin()
	for range 300 {
		f.users()
		f.step()
	}
	for f.calm = true; len(f.wrong) == 0 && f.server.now.Before(began.Add(5*time.Minute)); {
		f.step()
	}
	if len(f.wrong) == 0 {
		f.atRest()
	}
}

// begin is a cluster whose own controller has run until now.
func (f *foreign) begin() {
	s := f.server
	for i := range 3 + f.rng.IntN(3) {
		s.addNode(fmt.Sprintf("n%d", i))
	}
	if _, err := f.log.Append(context.Background(), events.Entry{Event: events.Event{ID: f.id(), Type: events.Chartered, Source: "kube",
		Body: events.Charter{Cluster: "ks", Mode: events.Control, Budget: events.BudgetUpstream}}}); err != nil {
		panic(err)
	}
	f.makeSet("agent")
	f.ownController("agent")
}

func (f *foreign) makeSet(name string) {
	most, labels := intstr.FromInt32(int32(f.maxDown)), map[string]string{"app": name}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: f.server.uid(), Generation: 1, CreationTimestamp: metav1.NewTime(f.server.now.Truncate(time.Second)),
		Annotations: map[string]string{daemonpod.GenerationAnnotation: "1"}},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &most}},
			Template:       corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a:1"}}}}}}
	daemonpod.SetDaemonSetDefaults(ds)
	f.server.put(events.DaemonSet, ds, "user")
}

// ownController is what the cluster's own controller has made of a DaemonSet before
// this one took over; an upgrade since may have added a default to the template.
func (f *foreign) ownController(name string) {
	o, _ := f.server.typed(events.DaemonSet, events.Key{Namespace: "x", Name: name})
	ds := o.(*appsv1.DaemonSet)
	was := ds.Spec.Template.DeepCopy()
	if f.foreigner {
		was.Spec.Containers[0].TerminationMessagePath = "/of/the/version/before"
	}
	data, err := daemonpod.RevisionData(was)
	if err != nil {
		panic(err)
	}
	rev := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name + "-own", UID: f.server.uid(),
		Labels: map[string]string{"app": name, daemonpod.RevisionLabel: "own"}, OwnerReferences: []metav1.OwnerReference{daemonpod.ControllerRef(ds)}}, Revision: 1}
	rev.Data.Raw = data
	f.server.put(events.ControllerRevision, rev, "rival")
	for _, n := range f.server.keys(events.Node) {
		c := events.Command{Ref: events.Ref{Key: events.Key{Namespace: "x", Name: name + "-" + n.Name}}, Node: n.Name, Revision: "own"}
		p := daemonpod.New(ds, was, c, f.server.now)
		p.UID, p.Spec.NodeName = f.server.uid(), n.Name
		p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
		f.server.put(events.Pod, p, "rival")
	}
}

// step is one round of everybody who is not a user.
func (f *foreign) step() {
	s := f.server
	s.now = s.now.Add(tick)
	s.act()
	for _, b := range f.bridges {
		for _, k := range foreignKinds {
			b.hear(k)
		}
	}
	for _, p := range f.parties {
		f.observe()
		for _, st := range p.Due(s.now, 100) {
			p.Done(st, st.Perform(context.Background(), drivetest.At(s.now, f.writes)), s.now)
			f.observe()
		}
	}
}

// observe folds what the log has got since, and holds it against the world.
func (f *foreign) observe() {
	for e, err := range f.log.Read(context.Background(), f.state.Seq()) {
		if err != nil {
			panic(err)
		}
		e = projector.Fold(f.state, e)
		f.audit(e)
		for _, p := range f.parties {
			p.Observe(e, f.server.now)
		}
	}
}

// audit says what is wrong with an event of the log.
func (f *foreign) audit(e events.Event) {
	var data []byte
	switch b := e.Body.(type) {
	case events.Unreadable:
		f.bad("#%d %s is not believed: %s %s", e.Seq, e.Type, b.Code, b.Why)
	case *events.Plan:
		for _, c := range b.Commands {
			if !controller.May(f.state.Charter(), c) {
				f.bad("#%d: %s is not permitted", e.Seq, c)
			}
			if c.Do == events.DeletePod {
				f.reasons[c.UID] = c.Reason
			}
		}
	case events.Object:
		data = b.Data
	case events.Gone:
		data = b.Data
	}
	r := events.RefOf(e)
	if data == nil || e.Type == events.Planned {
		return
	}
	p, rv := objectAt{r.Kind, r.Key}, rvOf(data)
	_, gone := e.Body.(events.Gone)
	at, known := f.server.byRV[rv]
	switch was := f.lanes[p]; {
	case e.Source == "kube/relist":
		if o, is := f.server.bytes[p]; is && o.UID == r.UID {
			f.bad("#%d %s of %s, which is there", e.Seq, e.Type, r)
		}
	case !known || f.server.changes[at].Key != r.Key:
		f.bad("#%d %s: the world knows no revision %d of %s", e.Seq, e.Type, rv, r)
	case rv <= was.rv:
		f.bad("#%d %s of %s at revision %d, after %d", e.Seq, e.Type, r, rv, was.rv)
	case r.Kind == events.Pod && !e.Cause.IsZero() != (f.server.whose(e.Type, f.server.changes[at]) == us) && !f.unsaid(rv):
		f.bad("#%d %s of %s is by %s, and its cause is %v", e.Seq, e.Type, r, f.server.whose(e.Type, f.server.changes[at]), e.Cause)
	}
	f.lanes[p] = lane{max(rv, f.lanes[p].rv), r.UID, e.Seq, gone}
}

func rvOf(data []byte) uint64 {
	rv, _ := strconv.ParseUint(string(wire.Text(wire.Field(data, "metadata"), "resourceVersion")), 10, 64)
	return rv
}

// foreignPods is the foreign world as an executor acts in it.
type foreignPods struct{ *foreign }

// Create implements executor.World.
func (w foreignPods) Create(_ context.Context, c executor.Creation) (*corev1.Pod, error) {
	w.reached("create", "call")
	metav1.SetMetaDataAnnotation(&c.Pod.ObjectMeta, daemonpod.CauseAnnotation, markOf(c.Cause))
	made, fresh := w.server.createPod(c.Pod, us)
	if !fresh && made.Annotations[daemonpod.CauseAnnotation] != markOf(c.Cause) {
		return nil, &executor.Refusal{Reason: "AlreadyExists", Message: "another pod has the name"}
	}
	w.reached("create", "answer")
	return made.DeepCopy(), nil
}

// Delete implements executor.World.
func (w foreignPods) Delete(_ context.Context, d executor.Deletion) (*corev1.Pod, bool, error) {
	o, is := w.server.typed(events.Pod, keyOf(d.Pod))
	if !is || o.GetUID() != d.Pod.UID {
		return nil, false, &executor.Overtaken{Reason: "PodGone", Message: "the pod is gone"}
	}
	p := o.(*corev1.Pod)
	if p.ResourceVersion != d.Pod.ResourceVersion {
		return nil, false, &executor.Overtaken{Reason: "Changed", Message: "the pod has changed"}
	}
	if p.DeletionTimestamp != nil {
		return nil, false, &executor.Overtaken{Reason: "Terminating", Message: "the pod is being deleted"}
	}
	w.judge(p, w.reasons[p.UID])
	last := p.DeepCopy()
	w.reached("delete", "call")
	p = w.server.deletePod(keyOf(p), us)
	w.reached("delete", "answer")
	if p == nil {
		last.ResourceVersion = strconv.FormatUint(w.server.ended(objectAt{events.Pod, keyOf(last)}, last.UID), 10)
		return last, true, nil
	}
	return p.DeepCopy(), false, nil
}

// Settled implements executor.World: in one thread nothing is heard while a call is
// under way.
func (w foreignPods) Settled(events.Key) {}

// Update implements executor.World.
func (w foreignPods) Update(_ context.Context, p *corev1.Pod) (*corev1.Pod, error) {
	o, is := w.server.typed(events.Pod, keyOf(p))
	if !is || o.GetUID() != p.UID || o.GetResourceVersion() != p.ResourceVersion {
		return nil, &executor.Overtaken{Reason: "Changed", Message: "the pod has changed"}
	}
	now, verb := o.(*corev1.Pod), "release"
	if metav1.GetControllerOf(p) != nil {
		verb = "adopt"
	}
	w.reached(verb, "call")
	now.OwnerReferences = p.OwnerReferences
	w.server.put(events.Pod, now, us)
	w.reached(verb, "answer")
	return now.DeepCopy(), nil
}

// lag is how old what the log says may be: a change waits in a watch, and then for the
// second half of a list.
func (f *foreign) lag() time.Duration { return maxDelay + 4*tick }

// judge says what is wrong with the deletion of a pod, as it is in the world.
func (f *foreign) judge(p *corev1.Pod, why events.Reason) {
	s, owner := f.server, ownedBy(p)
	switch {
	case s.orphaned[owner] && s.now.Sub(s.deleted[owner]) > f.lag():
		f.bad("pod %s is deleted (%s), and its DaemonSet was deleted to leave it", p.Name, why)
	case why == events.OwnerGone || why == events.NodeGone && p.Spec.NodeName != "":
		f.bad("pod %s is deleted (%s), which is the cluster's to do", p.Name, why)
	case why != events.Rollout || !readyPod(p):
		return
	}
	for _, ds := range s.sets() {
		if ds.UID != owner || ds.DeletionTimestamp != nil {
			continue
		}
		if was := p.Labels[daemonpod.GenerationLabel]; was == ds.Annotations[daemonpod.GenerationAnnotation] && s.webhook == "" && !p.CreationTimestamp.Before(&ds.CreationTimestamp) {
			f.bad("pod %s of the present template is replaced", p.Name)
		}
		if n, slack := s.unavailable(owner)+1, s.others(f.lag()); n > f.maxDown+slack {
			f.bad("pod %s is deleted: %d pods are down of %d that may be, and %d things changed meanwhile", p.Name, n, f.maxDown, slack)
		}
	}
}
