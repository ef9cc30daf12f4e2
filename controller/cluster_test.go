package controller_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector"
)

// cluster drives a state without a log: every fact is folded alone, and the
// commands of a plan are answered at once.
type cluster struct {
	tb       testing.TB
	s        *projector.State
	now      time.Time
	seq      events.Seq
	subjects events.Subjects
	facts    []events.Event // answers not told yet
	touched  map[events.Key]bool
	recorded []events.Event
	record   bool
	lost     []string                 // nodes without a kubelet
	status   map[events.Key]time.Time // of the last status write, which are 200 ms apart
}

func newCluster(tb testing.TB) *cluster {
	s, err := events.NewSubjects("bench")
	if err != nil {
		tb.Fatal(err)
	}
	return &cluster{tb: tb, s: projector.New("bench"), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), subjects: s, touched: map[events.Key]bool{}, status: map[events.Key]time.Time{}}
}

// encode gives e the bytes and position of a log.
func (c *cluster) encode(e events.Event) events.Event {
	c.seq++
	raw, err := events.Encode(e)
	if err != nil {
		c.tb.Fatal(err)
	}
	e = events.Decode(raw)
	e.Seq, e.Stored = c.seq, c.now
	return e
}

func (c *cluster) fold(e events.Event) {
	e = c.encode(e)
	if c.record {
		c.recorded = append(c.recorded, e)
	}
	c.take(e)
}

// take folds an event that was encoded.
func (c *cluster) take(e events.Event) {
	projector.Fold(c.s, e)
	for _, k := range c.s.Touched() {
		c.touched[k] = true
	}
}

// takeTouched returns for whom there may be something to do since it was last asked.
func (c *cluster) takeTouched() []events.Key {
	ks := slices.SortedFunc(maps.Keys(c.touched), events.Key.Compare)
	clear(c.touched)
	return ks
}

func (c *cluster) object(k events.Kind, verb string, o metav1.Object, cause events.Cause) events.Event {
	b, err := events.NewObject(k, o)
	if err != nil {
		c.tb.Fatal(err)
	}
	return events.Event{Type: events.ObjectType(k, verb), Source: "bench", At: c.now, Cause: cause, Body: b}
}

func (c *cluster) node(i int) *corev1.Node {
	name := fmt.Sprintf("node-%05d", i)
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name),
		Labels: map[string]string{"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": fmt.Sprint("zone-", i%3)}}}
}

func (c *cluster) addNodes(n int) {
	for i := range n {
		c.fold(c.object(events.Node, events.VerbCreated, c.node(i), events.Cause{}))
	}
}

func daemonSet(name, image string, maxUnavailable intstr.IntOrString) *appsv1.DaemonSet {
	labels := map[string]string{"app": name}
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name, UID: types.UID("uid-" + name), Generation: 1},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &maxUnavailable}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}}}}}
	daemonpod.SetDaemonSetDefaults(ds)
	return ds
}

func (c *cluster) apply(ds *appsv1.DaemonSet) {
	c.fold(c.object(events.DaemonSet, events.VerbUpdated, ds, events.Cause{}))
}

// reconcile decides and folds what was decided; the answers wait in facts.
func (c *cluster) reconcile(key events.Key) {
	res := controller.Reconcile(c.s, key, c.now)
	for _, w := range res.Writes {
		e, err := w.Entry(c.subjects)
		if err != nil {
			c.tb.Fatal(err)
		}
		c.fold(e.Event)
	}
	if res.Plan != nil {
		c.fold(controller.PlanEntry(res.Plan, c.subjects, 0).Event)
		c.answer(res.Plan, c.seq)
	}
	if res.Status != nil && c.now.Sub(c.status[key]) >= 200*time.Millisecond {
		c.status[key] = c.now
		e, err := res.Status.Entry(c.subjects)
		if err != nil {
			c.tb.Fatal(err)
		}
		c.fold(e.Event)
	}
}

// answer queues the facts that the commands lead to.
func (c *cluster) answer(p *events.Plan, seq events.Seq) {
	d := c.s.DaemonSet(p.Owner.Key)
	for i, cmd := range p.Commands {
		cause := events.Cause{Seq: seq, Index: i}
		switch cmd.Do {
		case events.CreatePod:
			pod := daemonpod.New(d.Object, &d.Object.Spec.Template, cmd, c.now)
			c.facts = append(c.facts, c.object(events.Pod, events.VerbCreated, pod, cause))
			c.facts = append(c.facts, c.object(events.Pod, events.VerbUpdated, c.ready(pod, cmd.Node, true), events.Cause{}))
		case events.DeletePod:
			old := c.s.Pod(cmd.Key)
			pod := &corev1.Pod{}
			if err := old.Object.Decode(pod); err != nil {
				c.tb.Fatal(err)
			}
			pod.DeletionTimestamp = &metav1.Time{Time: c.now}
			c.facts = append(c.facts, c.object(events.Pod, events.VerbUpdated, pod, cause))
			if slices.Contains(c.lost, cmd.Node) {
				continue // no kubelet to end it
			}
			c.facts = append(c.facts, events.Event{Type: "pod.deleted", Body: events.Gone{Ref: events.RefFor(events.Pod, pod)}})
		}
	}
}

func (c *cluster) ready(pod *corev1.Pod, node string, ready bool) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.NodeName = node
	pod.Status.Phase = corev1.PodRunning
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(c.now)}}
	return pod
}

// settle tells the answers one by one, with a reconcile after each, until
// nothing is left to do.
func (c *cluster) settle() {
	for {
		dirty := c.takeTouched()
		for _, k := range dirty {
			c.reconcile(k)
		}
		if len(dirty) > 0 {
			continue
		}
		if len(c.facts) == 0 {
			return
		}
		e := c.facts[0]
		c.facts = c.facts[1:]
		c.now = c.now.Add(time.Millisecond)
		c.fold(e)
	}
}

func (c *cluster) done(key events.Key, nodes int) {
	d := c.s.DaemonSet(key)
	if got := d.Counts; got.Updated != nodes || got.Available != nodes {
		c.tb.Fatalf("%s: %+v, want %d updated and available", key, got, nodes)
	}
}
