package replay

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/memlog"
)

// began is when the log of a test begins; each event is stored a second later.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// teller writes a log by hand: that of a DaemonSet agent on two nodes.
type teller struct {
	*testing.T
	log   *memlog.Log
	ds    *appsv1.DaemonSet
	stamp int
}

func tell(t *testing.T) *teller {
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	w := &teller{T: t}
	w.log = memlog.New(s, func() time.Time { return began.Add(time.Duration(w.stamp) * time.Second) })
	w.ds = &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "logging", Name: "agent", UID: "ds-1", Generation: 1},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "agent"}},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "agent:1"}}}}}}
	for _, name := range []string{"a", "b"} {
		w.is(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("node-" + name)}}, events.Event{})
	}
	return w
}

// append appends an event and returns its position.
func (w *teller) append(e events.Event) events.Seq {
	w.Helper()
	w.stamp++
	e.ID[15], e.Source, e.At = byte(w.stamp), "test", began
	seq, err := w.log.Append(w.Context(), events.Entry{Event: e})
	if err != nil {
		w.Fatal(err)
	}
	return seq
}

// is tells that an object is now so; e says who has done it, or what.
func (w *teller) is(kind events.Kind, object metav1.Object, e events.Event) events.Seq {
	w.Helper()
	o, err := events.NewObject(kind, object)
	if err != nil {
		w.Fatal(err)
	}
	e.Type, e.Body = events.ObjectType(kind, events.VerbUpdated), o
	return w.append(e)
}

// gone tells that an object is no more.
func (w *teller) gone(kind events.Kind, key events.Key, uid types.UID) events.Seq {
	return w.append(events.Event{Type: events.ObjectType(kind, events.VerbDeleted), Body: events.Gone{Ref: events.Ref{Kind: kind, Key: key, UID: uid}}})
}

// revision tells that the present template is the revision of a number.
func (w *teller) revision(n int64) (hash string) {
	w.Helper()
	data, err := daemonpod.RevisionData(&w.ds.Spec.Template)
	if err != nil {
		w.Fatal(err)
	}
	hash = daemonpod.Hash(daemonpod.Digest(&w.ds.Spec.Template), 0)
	yes := true
	w.is(events.ControllerRevision, &appsv1.ControllerRevision{Revision: n, Data: runtime.RawExtension{Raw: data},
		ObjectMeta: metav1.ObjectMeta{Namespace: "logging", Name: "agent-" + hash, UID: types.UID("rev-" + hash),
			Labels:          map[string]string{"app": "agent", daemonpod.RevisionLabel: hash},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: w.ds.UID, Controller: &yes}}}}, events.Event{})
	return hash
}

// plan tells of a plan with one command for the pod of a node.
func (w *teller) plan(do events.Verb, reason events.Reason, pod *corev1.Pod) events.Cause {
	p := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "logging", Name: "agent"}, UID: w.ds.UID},
		Basis: events.Basis{Seq: events.Seq(w.stamp), Now: began.Add(time.Duration(w.stamp) * time.Second)},
		Commands: []events.Command{{Do: do, Ref: events.Ref{Kind: events.Pod, Key: events.Key{Namespace: pod.Namespace, Name: pod.Name}, UID: pod.UID},
			Node: pod.Spec.NodeName, NodeUID: types.UID("node-" + pod.Spec.NodeName), Revision: pod.Labels[daemonpod.RevisionLabel], Reason: reason}}}
	return events.Cause{Seq: w.append(events.Event{Type: events.Planned, Body: p})}
}

// run plans the pod of a node, and makes it available.
func (w *teller) run(node, hash string) *corev1.Pod {
	yes := true
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "logging", Name: "agent-" + node + "-" + hash, UID: types.UID("pod-" + node + hash),
		Labels:          map[string]string{"app": "agent", daemonpod.RevisionLabel: hash},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: w.ds.UID, Controller: &yes}}},
		Spec: corev1.PodSpec{NodeName: node, Containers: w.ds.Spec.Template.Spec.Containers}}
	w.is(events.Pod, pod, events.Event{Cause: w.plan(events.CreatePod, events.Missing, pod)})
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(began)}}}
	w.is(events.Pod, pod, events.Event{})
	return pod
}

// replace deletes a pod for a rollout.
func (w *teller) replace(pod *corev1.Pod) {
	cause := w.plan(events.DeletePod, events.Rollout, pod)
	now := metav1.NewTime(began)
	pod.DeletionTimestamp = &now
	w.is(events.Pod, pod, events.Event{Cause: cause})
	w.gone(events.Pod, events.Key{Namespace: pod.Namespace, Name: pod.Name}, pod.UID)
}

// rolledOut tells that the controller says so.
func (w *teller) rolledOut() events.Seq {
	w.ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: w.ds.Generation, Conditions: []appsv1.DaemonSetCondition{
		{Type: controller.ConditionProgressing, Status: corev1.ConditionTrue, Reason: controller.ReasonRolledOut}}}
	return w.is(events.DaemonSet, w.ds, events.Event{})
}

// image tells of a new template.
func (w *teller) image(name string, e events.Event) events.Seq {
	w.ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: name}}
	w.ds.Generation++
	return w.is(events.DaemonSet, w.ds, e)
}

// twoRollouts is a log with a rollout that ends and one that is followed by
// another, after which the DaemonSet is deleted.
func twoRollouts(t *testing.T) *teller {
	w := tell(t)
	w.ds.Annotations = map[string]string{changeCause: "CVE-2026-1"}
	w.is(events.DaemonSet, w.ds, events.Event{Actor: "ann", Manager: "kubectl"}) // #3
	hash := w.revision(1)
	a, _ := w.run("a", hash), w.run("b", hash) // #5 to #10
	w.rolledOut()                              // #11
	w.ds.Annotations = nil
	w.image("agent:2", events.Event{Actor: "bob", Change: "image 1→2"}) // #12
	hash = w.revision(2)
	w.replace(a) // #14 to #16
	w.run("a", hash)
	w.image("agent:3", events.Event{Actor: "bob"}) // #20
	w.revision(3)
	w.gone(events.DaemonSet, events.Key{Namespace: "logging", Name: "agent"}, "ds-1") // #22
	return w
}

// TestRollouts: what a log tells of its rollouts.
func TestRollouts(t *testing.T) {
	all, err := RolloutsOf(t.Context(), twoRollouts(t).log)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"daemonSet":{"namespace":"logging","name":"agent"},"uid":"ds-1","revision":1,"images":["agent:1"],"who":"ann","manager":"kubectl","why":"CVE-2026-1",` +
			`"start":{"seq":3,"time":"2026-03-01T12:00:03Z"},"end":{"seq":11,"time":"2026-03-01T12:00:11Z"},"ending":"RolledOut","nodes":2,"waves":[` +
			`{"seq":5,"time":"2026-03-01T12:00:05Z","nodes":["a"],"done":{"seq":7,"time":"2026-03-01T12:00:07Z"},"peakUnavailable":2,"failures":0,"ready":[{"node":"a","nanoseconds":2000000000}]},` +
			`{"seq":8,"time":"2026-03-01T12:00:08Z","nodes":["b"],"done":{"seq":10,"time":"2026-03-01T12:00:10Z"},"peakUnavailable":1,"failures":0,"ready":[{"node":"b","nanoseconds":2000000000}]}],` +
			`"restarted":0,"peakUnavailable":2,"failures":0}`,
		`{"daemonSet":{"namespace":"logging","name":"agent"},"uid":"ds-1","revision":2,"imagesBefore":["agent:1"],"images":["agent:2"],"who":"bob","why":"image 1→2",` +
			`"start":{"seq":12,"time":"2026-03-01T12:00:12Z"},"end":{"seq":20,"time":"2026-03-01T12:00:20Z"},"ending":"Superseded","nodes":2,"waves":[` +
			`{"seq":14,"time":"2026-03-01T12:00:14Z","nodes":["a"],"done":{"seq":19,"time":"2026-03-01T12:00:19Z"},"peakUnavailable":1,"failures":0,"ready":[{"node":"a","nanoseconds":5000000000}]}],` +
			`"restarted":1,"peakUnavailable":1,"failures":0}`,
		`{"daemonSet":{"namespace":"logging","name":"agent"},"uid":"ds-1","revision":3,"imagesBefore":["agent:2"],"images":["agent:3"],"who":"bob",` +
			`"start":{"seq":20,"time":"2026-03-01T12:00:20Z"},"end":{"seq":22,"time":"2026-03-01T12:00:22Z"},"ending":"Deleted","nodes":2,"restarted":0,"peakUnavailable":0,"failures":0}`,
	}
	if len(all) != len(want) {
		t.Fatalf("%d rollouts, want %d", len(all), len(want))
	}
	for i, r := range all {
		if r.Hash == "" {
			t.Errorf("%s has no hash", r)
		}
		r.Hash = ""
		if got, err := json.Marshal(r); err != nil || string(got) != want[i] {
			t.Errorf("%s, %v\nwant %s", got, err, want[i])
		}
	}
}

// TestRolloutsOfOthers: the controller of another cluster has no condition for a rollout
// that is done; its counts say so.
func TestRolloutsOfOthers(t *testing.T) {
	w := tell(t)
	w.is(events.DaemonSet, w.ds, events.Event{Manager: "kubectl"}) // #3
	status := func(st appsv1.DaemonSetStatus) events.Seq {
		w.ds.Status = st
		return w.is(events.DaemonSet, w.ds, events.Event{Manager: "kube-controller-manager"})
	}
	status(appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberAvailable: 1})
	first := status(appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberAvailable: 2})
	w.image("agent:2", events.Event{}) // the counts are those of before
	status(appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 1, NumberAvailable: 2})
	all, err := RolloutsOf(t.Context(), w.log)
	if err != nil || len(all) != 2 || all[0].Ending != RolledOut || all[0].End.Seq != first || all[1].Ending != "" {
		t.Fatalf("%v, %v", all, err)
	}
	second := status(appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberAvailable: 2})
	if all, err = RolloutsOf(t.Context(), w.log); err != nil || all[1].Ending != RolledOut || all[1].End.Seq != second {
		t.Errorf("%v, %v", all, err)
	}
	w = tell(t)
	status(appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberAvailable: 2})
	if all, err = RolloutsOf(t.Context(), w.log); err != nil || len(all) != 0 {
		t.Errorf("a rollout of before the record: %v, %v", all, err)
	}
	third := w.image("agent:3", events.Event{})
	if all, err = RolloutsOf(t.Context(), w.log); err != nil || len(all) != 1 || all[0].Start.Seq != third || all[0].Ending != "" {
		t.Errorf("the first of the record: %v, %v", all, err)
	}
}

// TestRestartedByOthers: in a record the pods of before that end while a rollout goes on are
// those that it restarts, each once.
func TestRestartedByOthers(t *testing.T) {
	w := recordOf(t)
	w.ends("agent-b", "") // before
	w.over("agent-b")
	w.makes("agent-b", "b")
	w.ready("agent-b")
	w.image("agent:2")
	w.ends("agent-a", "")
	w.seen(events.Pod, w.pods["agent-a"]) // again
	w.over("agent-a")
	w.makes("agent-a", "a")
	w.ends("agent-a", "") // which is new
	w.over("agent-a")
	all, err := RolloutsOf(t.Context(), w.log)
	if err != nil || len(all) != 1 || all[0].Restarted != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestListedRollout: a rollout that a record begins in has no node without a pod because
// the list tells of pods after their DaemonSet.
func TestListedRollout(t *testing.T) {
	w := &tape{teller: tell(t), pods: map[string]*corev1.Pod{}}
	w.append(events.Event{Type: events.Chartered, Body: events.Charter{Cluster: "ks", Version: "v1.36.3", Mode: events.Shadow, Budget: events.BudgetUpstream}})
	w.ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 2, CurrentNumberScheduled: 2, UpdatedNumberScheduled: 1, NumberReady: 2, NumberAvailable: 2}
	w.seen(events.DaemonSet, w.ds)
	w.hash = w.revises(1)
	for _, n := range []string{"a", "b"} {
		w.makes("agent-"+n, n)
		w.ready("agent-" + n)
	}
	all, err := RolloutsOf(t.Context(), w.log)
	if err != nil || len(all) != 1 || all[0].PeakUnavailable != 0 || all[0].Revision != 1 || all[0].Nodes != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	w.ends("agent-a", "")
	if all, err = RolloutsOf(t.Context(), w.log); err != nil || all[0].PeakUnavailable != 1 {
		t.Errorf("%+v, %v", all[0], err)
	}
}

// TestFind: where instants are in a log, and the line for those that are not in
// it.
func TestFind(t *testing.T) {
	w := twoRollouts(t)
	now := began.Add(time.Minute)
	for text, want := range map[string]string{
		"":                                  "#22 (2026-03-01 12:00:22.000 UTC)",
		"7":                                 "#7 (2026-03-01 12:00:07.000 UTC)",
		"#22":                               "#22 (2026-03-01 12:00:22.000 UTC)",
		"23":                                "E-CLI-INSTANT: \"23\" cannot be shown: it is after the end of the log; the log ends at 22",
		"2026-03-01T12:00:09Z":              "#9 (2026-03-01 12:00:09.000 UTC)",
		"2026-03-01T12:00:09.999Z":          "#9 (2026-03-01 12:00:09.000 UTC, 999ms before the time that was asked for)",
		"2026-03-01T12:00:00.9Z":            "E-CLI-INSTANT: \"2026-03-01T12:00:00.9Z\" cannot be shown: it is before the first event; the log begins at 2026-03-01T12:00:01Z",
		"now":                               "#22 (2026-03-01 12:00:22.000 UTC, 38s before the time that was asked for)",
		"-2s":                               "#20 (2026-03-01 12:00:20.000 UTC)",
		"-1h":                               "E-CLI-INSTANT: \"-1h\" cannot be shown: it is before the first event; the log begins at 2026-03-01T12:00:01Z",
		"@00000000000000000000000005":       "#5 (2026-03-01 12:00:05.000 UTC)",
		"@01ARZ3NDEKTSV4RRFFQ69G5FAV":       "E-CLI-INSTANT: \"@01ARZ3NDEKTSV4RRFFQ69G5FAV\" cannot be shown: the log has no event of that id; copy one from rollcall log -o jsonl",
		"rollout/logging/agent#1:start":     "#3 (2026-03-01 12:00:03.000 UTC)",
		"rollout/logging/agent#1:end":       "#11 (2026-03-01 12:00:11.000 UTC)",
		"rollout/logging/agent#2:end":       "#20 (2026-03-01 12:00:20.000 UTC)",
		"rollout/logging/agent#4:start":     "E-CLI-INSTANT: \"rollout/logging/agent#4:start\" cannot be shown: the log has no such rollout; ds/logging/agent has #1, #2, #3: see rollcall rollout list",
		"rollout/logging/agents#1:start":    "E-CLI-INSTANT: \"rollout/logging/agents#1:start\" cannot be shown: the log has no such rollout; did you mean rollout/logging/agent#1?",
		"rollout/logging/agent#1:wave:1":    "#5 (2026-03-01 12:00:05.000 UTC)",
		"rollout/logging/agent#1:wave:2":    "#8 (2026-03-01 12:00:08.000 UTC)",
		"rollout/logging/agent#1:wave:3":    "E-CLI-INSTANT: \"rollout/logging/agent#1:wave:3\" cannot be shown: the rollout has 2 waves, wave:1 to wave:2; give one of them, its start, or now",
		"rollout/logging/agent#2:wave:2":    "E-CLI-INSTANT: \"rollout/logging/agent#2:wave:2\" cannot be shown: the rollout has one wave, wave:1;",
		"rollout/logging/agent#3:wave:1":    "E-CLI-INSTANT: \"rollout/logging/agent#3:wave:1\" cannot be shown: the rollout has no wave;",
		"rollout/logging/agent#1:wave:0":    "E-CLI-INSTANT",
		"rollout/logging/agent#1:wave:-1":   "E-CLI-INSTANT",
		"rollout/logging/agent#1:wave":      "E-CLI-INSTANT",
		"rollout/logging/agent#1:wave:1:2":  "E-CLI-INSTANT",
		"rollout/agent#1:start":             "E-CLI-INSTANT: \"rollout/agent#1:start\" cannot be shown: the log has no such rollout",
		"rollout/logging/agent#1:middle":    "E-CLI-INSTANT: \"rollout/logging/agent#1:middle\" cannot be shown: it is no rollout; write rollout/NAMESPACE/NAME#REVISION:start, :end or :wave:N",
		"rollout/logging/agent#0:start":     "E-CLI-INSTANT",
		"rollout/logging/agent:start":       "E-CLI-INSTANT",
		"rollout/log>ging/agent#1:start":    "E-CLI-INSTANT",
		"rollout/logging/agent/b#1:start":   "E-CLI-INSTANT",
		"rollout/logging/agent#one:start":   "E-CLI-INSTANT",
		"rollout/logging/agent#1:start:end": "E-CLI-INSTANT",
	} {
		var m Moment
		at, err := Instant{}, error(nil)
		if text != "" {
			at, err = ParseInstant(text, now)
		}
		if err == nil {
			if at, err = at.Locate(t.Context(), w.log, began.Add(22*time.Second)); err == nil {
				m, err = at.Find(t.Context(), w.log, 22)
			}
		}
		got := m.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || err == nil && got != want {
			t.Errorf("%q is %s\nwant %s", text, got, want)
		}
	}
}

// TestUnended: a rollout that is under way has no end yet.
func TestUnended(t *testing.T) {
	w := tell(t)
	w.ds.Namespace = metav1.NamespaceDefault
	w.is(events.DaemonSet, w.ds, events.Event{})
	w.ds.Namespace = "logging"
	w.is(events.DaemonSet, w.ds, events.Event{})
	w.revision(1)
	at, err := ParseInstant("rollout/logging/agent#1:end", began)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at.Locate(t.Context(), w.log, began); err == nil || !strings.Contains(err.Error(), "the rollout has not ended") {
		t.Errorf("%v", err)
	}
}

// TestAfter: positions and times are compared with their own kind only.
func TestAfter(t *testing.T) {
	for _, c := range []struct {
		from, to string
		after    bool
	}{{"5", "4", true}, {"5", "5", false}, {"4", "5", false}, {"5", "-1h", false}, {"2026-03-01T12:00:00Z", "2026-02-01", true}, {"2026-02-01", "2026-03-01", false}} {
		from, err := ParseInstant(c.from, began)
		if err != nil {
			t.Fatal(err)
		}
		to, err := ParseInstant(c.to, began)
		if err != nil {
			t.Fatal(err)
		}
		if from.After(to) != c.after {
			t.Errorf("%s after %s: %v", c.from, c.to, !c.after)
		}
	}
}
