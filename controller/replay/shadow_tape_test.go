package replay

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
)

// tape is the record of a cluster, written by hand: DaemonSet agent on nodes a and b.
type tape struct {
	*teller
	rv   int
	hash string
	pods map[string]*corev1.Pod
}

// recordOf begins a record of a cluster at rest.
func recordOf(t *testing.T) *tape {
	w := &tape{teller: tell(t), pods: map[string]*corev1.Pod{}}
	w.append(events.Event{Type: events.Chartered, Body: events.Charter{Cluster: "ks", Version: "v1.36.3", Mode: events.Shadow, Budget: events.BudgetUpstream}})
	one := intstr.FromInt32(1)
	w.ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &one}}
	w.ds.Annotations = map[string]string{daemonpod.GenerationAnnotation: "1"}
	daemonpod.SetDaemonSetDefaults(w.ds)
	w.ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 2, CurrentNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberReady: 2, NumberAvailable: 2}
	w.seen(events.DaemonSet, w.ds)
	w.hash = w.revises(1)
	for _, n := range []string{"a", "b"} {
		w.makes("agent-"+n, n)
		w.ready("agent-" + n)
	}
	return w
}

// seen tells that an object is so at the next revision of the cluster.
func (w *tape) seen(kind events.Kind, o metav1.Object) events.Seq {
	w.rv++
	return w.seenAt(kind, o, w.rv)
}

func (w *tape) seenAt(kind events.Kind, o metav1.Object, rv int) events.Seq {
	w.Helper()
	o.SetResourceVersion(strconv.Itoa(rv))
	return w.is(kind, o, events.Event{Manager: managerOfCluster})
}

// revises tells that the present template is the revision of a number.
func (w *tape) revises(n int64) string {
	w.rv++
	return w.revisesAt(n, w.rv)
}

func (w *tape) revisesAt(n int64, rv int) (hash string) {
	data, err := daemonpod.RevisionData(&w.ds.Spec.Template)
	if err != nil {
		w.Fatal(err)
	}
	hash = daemonpod.Hash(daemonpod.Digest(&w.ds.Spec.Template), 0)
	rev := &appsv1.ControllerRevision{Revision: n, ObjectMeta: metav1.ObjectMeta{Namespace: "logging", Name: "agent-" + hash, UID: types.UID("rev-" + hash), CreationTimestamp: w.now(),
		Labels: map[string]string{"app": "agent", daemonpod.RevisionLabel: hash}, OwnerReferences: []metav1.OwnerReference{daemonpod.ControllerRef(w.ds)}}}
	rev.Data.Raw = data
	w.seenAt(events.ControllerRevision, rev, rv)
	return hash
}

// now is when the next event is stored.
func (w *tape) now() metav1.Time {
	return metav1.NewTime(began.Add(time.Duration(w.stamp+1) * time.Second))
}

// quiet lets time pass.
func (w *tape) quiet(d time.Duration) { w.stamp += int(d / time.Second) }

// passes has a time pass in which only a node says that it is there.
func (w *tape) passes(d time.Duration) {
	for range 4 {
		w.quiet(d / 4)
		w.is(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "node-a", Annotations: map[string]string{"seen": strconv.Itoa(w.stamp)}}}, events.Event{})
	}
}

// makes tells of a pod as it is made.
func (w *tape) makes(name, node string) events.Seq {
	p := daemonpod.New(w.ds, &w.ds.Spec.Template, events.Command{Ref: events.Ref{Key: events.Key{Namespace: "logging", Name: name}}, Node: node, Revision: w.hash}, w.now().Time)
	p.UID, p.Status = types.UID(fmt.Sprint("pod-", w.stamp)), corev1.PodStatus{Phase: corev1.PodPending}
	w.pods[name] = p
	return w.seen(events.Pod, p)
}

func (w *tape) ready(name string) {
	p := w.pods[name]
	p.Spec.NodeName, _ = daemonpod.TargetNode(&p.Spec)
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: w.now()}}}
	w.seen(events.Pod, p)
}

// ends tells that a pod is being deleted, for a cause of its condition or none.
func (w *tape) ends(name, cause string) events.Seq {
	w.rv++
	return w.endsAt(name, cause, w.rv)
}

func (w *tape) endsAt(name, cause string, rv int) events.Seq {
	p, at, grace := w.pods[name], w.now(), int64(30)
	at.Time = at.Add(30 * time.Second)
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, &grace
	if cause != "" {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: cause})
	}
	return w.seenAt(events.Pod, p, rv)
}

func (w *tape) over(name string) {
	w.gone(events.Pod, events.Key{Namespace: "logging", Name: name}, w.pods[name].UID)
}

// says is an Event of the cluster's DaemonSet controller.
func (w *tape) says(reason, message string) {
	data, err := wire.Marshal(events.KubeEvent{Reason: reason, Message: message, Component: component})
	if err != nil {
		w.Fatal(err)
	}
	w.told(events.NoteKubeEvent, data, events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "logging", Name: "agent"}})
}

func (w *tape) told(typ string, data []byte, about ...events.Ref) {
	w.stamp++
	e := events.Event{Type: events.NoteTold, Source: events.SourceKube, At: began, Body: events.Note{Objects: about},
		Told: &events.Told{Source: events.SourceKube, ID: strconv.Itoa(w.stamp), Type: typ, Data: data}}
	e.ID = events.ToldID(e.Told.Source, e.Told.From, e.Told.ID)
	if _, err := w.log.Append(w.Context(), events.Entry{Event: e}); err != nil {
		w.Fatal(err)
	}
}

// image gives the DaemonSet another template, and the revision of it.
func (w *tape) image(image string) {
	w.edit(image)
	w.seen(events.DaemonSet, w.ds)
	w.quiet(time.Second)
	w.hash = w.revises(2)
}

func (w *tape) edit(image string) {
	w.ds = w.ds.DeepCopy()
	w.ds.Spec.Template.Spec.Containers[0].Image = image
	w.ds.Generation++
	w.ds.Annotations[daemonpod.GenerationAnnotation] = strconv.FormatInt(w.ds.Generation, 10)
	w.ds.Status.ObservedGeneration, w.ds.Status.UpdatedNumberScheduled = w.ds.Generation, 0
}

// leaps tells of a DaemonSet as it is after two changes that leave its pods new.
func (w *tape) leaps() {
	w.ds.Generation += 2
	w.seen(events.DaemonSet, w.ds)
}

// deletes has the cluster's controller delete a pod.
func (w *tape) deletes(name string) events.Seq {
	defer w.says("SuccessfulDelete", "Deleted pod: "+name)
	return w.ends(name, "")
}

// endOf is the moment of the last event.
func endOf(h answers) Moment {
	return Moment{Point: Point{Seq: h.Span().Last, Time: h.Span().To}, Now: h.Span().To}
}

func (w *tape) diverge(q ShadowQuery) *Diverged {
	w.Helper()
	h := w.ask()
	d, err := h.Diverge(w.Context(), q, 1, endOf(h), time.Time{})
	if err != nil {
		w.Fatal(err)
	}
	return d
}
