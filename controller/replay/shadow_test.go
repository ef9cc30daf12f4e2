package replay

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// shadowClass is something that is done in a cluster, and the class that it is of.
type shadowClass struct {
	name string
	do   func(w *tape) events.Seq
	want Class
	says string // of the act, as text
}

var shadowClasses = []shadowClass{
	{"a pod is made where one is missing", func(w *tape) events.Seq { w.ends("agent-a", ""); w.over("agent-a"); return w.makes("agent-c", "a") }, Agreed, "CreatePod pod/agent-c on a Missing"},
	{"an old pod is deleted", func(w *tape) events.Seq { w.image("agent:2"); w.quiet(3 * time.Second); return w.ends("agent-a", "") }, Agreed, "DeletePod pod/agent-a on a Rollout 4s"},
	{"another old pod is deleted", func(w *tape) events.Seq { w.image("agent:2"); return w.ends("agent-b", "") }, Other, "DeletePod pod/agent-b on b DeletePod agent-a on a (Rollout)"},
	{"an old pod is deleted before its revision is heard of", func(w *tape) events.Seq {
		w.edit("agent:2")
		w.rv += 10
		at := w.endsAt("agent-a", "", w.rv)
		w.seenAt(events.DaemonSet, w.ds, w.rv-3)
		w.hash = w.revisesAt(2, w.rv-2)
		w.rv++
		return at
	}, Agreed, "DeletePod pod/agent-a on a Rollout"},
	{"a second old pod is deleted beyond the budget", func(w *tape) events.Seq {
		w.image("agent:2")
		w.ends("agent-a", "")
		w.says("SuccessfulDelete", "Deleted pod: agent-a")
		defer w.says("SuccessfulDelete", "Deleted pod: agent-b")
		return w.ends("agent-b", "")
	}, Extra, "DeletePod pod/agent-b on b daemonset-controller"},
	{"a second old pod is deleted after a user has used up the budget", func(w *tape) events.Seq {
		w.image("agent:2")
		w.ends("agent-a", "")
		defer w.says("SuccessfulDelete", "Deleted pod: agent-b")
		return w.ends("agent-b", "")
	}, Other, "DeletePod pod/agent-b on b daemonset-controller DeletePod agent-a on a (Rollout)"},
	{"a new pod is deleted", func(w *tape) events.Seq {
		defer w.says("SuccessfulDelete", "Deleted pod: agent-a")
		return w.ends("agent-a", "")
	}, Extra, "daemonset-controller"},
	{"a pod is made beside another", func(w *tape) events.Seq { return w.makes("agent-c", "a") }, Extra, "CreatePod pod/agent-c on a " + managerOfCluster},
	{"a user deletes a pod", func(w *tape) events.Seq { return w.ends("agent-a", "") }, Foreign, "a user"},
	{"a pod is evicted", func(w *tape) events.Seq { return w.ends("agent-a", "EvictionByEvictionAPI") }, Foreign, "disruption: EvictionByEvictionAPI"},
	{"a pod goes with its DaemonSet", func(w *tape) events.Seq {
		w.gone(events.DaemonSet, events.Key{Namespace: "logging", Name: "agent"}, w.ds.UID)
		return w.ends("agent-a", "")
	}, Foreign, "garbage collector"},
	{"a pod goes with its node", func(w *tape) events.Seq {
		w.gone(events.Node, events.Key{Name: "a"}, "node-a")
		return w.ends("agent-a", "")
	}, Foreign, "pod garbage collector"},
	{"a pod goes for its node, which is back", func(w *tape) events.Seq {
		w.ends("agent-a", "")
		w.over("agent-a")
		w.makes("agent-c", "a")
		w.gone(events.Node, events.Key{Name: "a"}, "node-a")
		w.is(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "node-a-2"}}, events.Event{})
		at := w.ends("agent-c", "")
		w.says("SuccessfulDelete", "Deleted pod: agent-c")
		return at
	}, Extra, "agent-c nodeGone"},
	{"a deletion of a controller that has no Events to spare", func(w *tape) events.Seq {
		for i := range eventBurst {
			w.says("SuccessfulCreate", fmt.Sprint("Created pod: other-", i))
		}
		return w.ends("agent-a", "")
	}, Foreign, "nobody can tell"},
	{"a list tells of a pod", func(w *tape) events.Seq {
		w.makes("agent-c", "a")
		w.ready("agent-c")
		w.pods["agent-c"].UID, w.pods["agent-c"].Name = "pod-listed", "agent-d"
		return w.seen(events.Pod, w.pods["agent-c"])
	}, Unseen, "agent-d"},
	{"a pod is made beside one that a list told of", func(w *tape) events.Seq {
		w.ends("agent-a", "")
		w.over("agent-a")
		p := w.pods["agent-a"].DeepCopy()
		p.Name, p.UID, p.DeletionTimestamp, p.DeletionGracePeriodSeconds = "agent-c", "pod-listed", nil, nil
		w.seen(events.Pod, p)
		return w.makes("agent-d", "a")
	}, Extra, "CreatePod pod/agent-d on a " + managerOfCluster},
	{"states are missing", func(w *tape) events.Seq {
		at := w.ends("agent-a", "")
		data, _ := wire.Marshal(events.Relisted{Resource: "pods", From: uint64(w.rv - 1), To: uint64(w.rv)})
		w.told(events.NoteRelisted, data)
		return at
	}, Unseen, "agent-a"},
	{"the last word of the record", func(w *tape) events.Seq {
		w.passes(time.Minute)
		w.image("agent:2")
		w.ends("agent-a", "")
		return w.endsLast("agent-b")
	}, TooNew, "agent-b"},
}

// TestShadowClasses: each class of what is done in a cluster, and of what is not.
func TestShadowClasses(t *testing.T) {
	for _, c := range shadowClasses {
		t.Run(c.name, c.check)
	}
}

func (c shadowClass) check(t *testing.T) {
	w := recordOf(t)
	w.quiet(time.Minute)
	at := c.do(w)
	if c.want != TooNew {
		w.passes(10 * time.Second)
	}
	d := w.diverge(ShadowQuery{All: true})
	i := slices.IndexFunc(d.All, func(a Act) bool { return a.Seq == at })
	if i < 0 {
		t.Fatalf("no act at #%d of %+v", at, d.All)
	}
	a := d.All[i]
	text := fmt.Sprintln(a.Do, a.Object, "on", a.Node, a.Due, a.By, a.Rule, a.Lead)
	for _, want := range strings.Split(c.says, " ") {
		if a.Class != c.want || !strings.Contains(text, want) {
			t.Fatalf("%+v; want %s, %s", a, c.want, c.says)
		}
	}
	if is := slices.ContainsFunc(d.Divergences, func(x Act) bool { return x.Seq == at }); is != (c.want == Extra) {
		t.Errorf("it is told as a divergence: %v", is)
	}
}

func (w *tape) endsLast(name string) events.Seq { return w.ends(name, "") }

// TestShadowUndone: what is due for a minute and not done is missing, unless the cluster
// refuses it, or the record has a gap meanwhile.
func TestShadowUndone(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(w *tape)
		want      int
	}{
		"nobody does it":      {func(*tape) {}, 1},
		"the cluster refuses": {func(w *tape) { w.says("FailedCreate", "exceeded quota") }, 0},
		"there is a gap": {func(w *tape) {
			w.passes(50 * time.Second)
			data, _ := wire.Marshal(events.Relisted{From: 1, To: 1})
			w.told(events.NoteRelisted, data)
		}, 0},
		"it is done": {func(w *tape) { w.passes(50 * time.Second); w.makes("agent-c", "a"); w.ready("agent-c") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := recordOf(t)
			w.ends("agent-a", "")
			w.over("agent-a")
			due := w.stamp
			c.meanwhile(w)
			w.quiet(time.Duration(due+50-w.stamp) * time.Second)
			w.passes(40 * time.Second)
			got := slices.DeleteFunc(w.diverge(ShadowQuery{}).Divergences, func(a Act) bool { return a.Class != Undone })
			if len(got) != c.want || len(got) > 0 && (got[0].Do != events.CreatePod || got[0].Node != "a" || got[0].Due != "Missing") {
				t.Errorf("%+v; want %d", got, c.want)
			}
		})
	}
}

// TestShadowCounts: a status that counts otherwise for half a minute is told once, with
// what it counts.
func TestShadowCounts(t *testing.T) {
	w := recordOf(t)
	w.passes(time.Minute)
	if d := w.diverge(ShadowQuery{}); len(d.Divergences) > 0 {
		t.Fatalf("%+v", d.Divergences)
	}
	w.ds = w.ds.DeepCopy()
	w.ds.Status.NumberReady = 1
	at := w.seen(events.DaemonSet, w.ds)
	w.passes(20 * time.Second)
	if d := w.diverge(ShadowQuery{}); len(d.Divergences) > 0 {
		t.Fatalf("too early: %+v", d.Divergences)
	}
	w.passes(2 * time.Minute)
	d := w.diverge(ShadowQuery{})
	if len(d.Divergences) != 1 || d.Divergences[0].Class != Counted || d.Divergences[0].Seq != at || d.Divergences[0].Due != "numberReady is 1, and rollcall counts 2" {
		t.Errorf("%+v", d.Divergences)
	}
}

// TestShadowOf: only what is asked for is compared, a DaemonSet with a field that is not
// known is not, and a log that is no record is refused.
func TestShadowOf(t *testing.T) {
	w := recordOf(t)
	w.makes("agent-c", "a")
	w.passes(10 * time.Second)
	agent := events.Key{Namespace: "logging", Name: "agent"}
	for name, c := range map[string]struct {
		q    ShadowQuery
		sets int
	}{
		"all":             {ShadowQuery{}, 1},
		"the namespace":   {ShadowQuery{Namespace: "logging"}, 1},
		"another":         {ShadowQuery{Namespace: "other"}, 0},
		"the name":        {ShadowQuery{Of: map[events.Key]bool{agent: true}}, 1},
		"no such labels":  {ShadowQuery{Match: func(ds *appsv1.DaemonSet) bool { return ds.Labels["x"] != "" }}, 0},
		"what is matched": {ShadowQuery{Match: func(ds *appsv1.DaemonSet) bool { return ds.Name == "agent" }}, 1},
	} {
		if d := w.diverge(c.q); d.DaemonSets != c.sets || (len(d.Divergences) == 1) != (c.sets == 1) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	h := w.ask()
	for name, q := range map[string]ShadowQuery{"E-REPLAY-OBJECT": {Of: map[events.Key]bool{{Namespace: "logging", Name: "none"}: true}}} {
		if _, err := h.Diverge(t.Context(), q, 1, endOf(h), time.Time{}); err == nil || !strings.Contains(err.Error(), "logging/none") {
			t.Errorf("%s: %v", name, err)
		}
	}
	plain := tell(t).ask()
	e := new(events.Error)
	if _, err := plain.Diverge(t.Context(), ShadowQuery{}, 1, endOf(plain), time.Time{}); !errors.As(err, &e) || e.Code != "E-REPLAY-RECORD" || e.Exit != events.ExitInput {
		t.Errorf("of no record: %v", err)
	}
}
