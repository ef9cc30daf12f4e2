package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector"
	"rollcall/projector/table"
)

// A DaemonSet of which the log does not have all as it is in the cluster is left alone, and
// that is said, until it has: a state that is read back knows it too.
func TestUnrecordedOfARealCluster(t *testing.T) {
	c, ds := realCluster(t, 2)
	next := ds.DeepCopy()
	next.Generation++
	image("a:2")(next)
	c.apply(next)
	if r := controller.Reconcile(c.s, kubeAgent, c.now); len(r.Writes) != 1 {
		t.Fatalf("a new template makes no revision: %+v", r)
	}
	note := func(typ string, about ...events.Ref) {
		told := &events.Told{Source: events.SourceKube, ID: fmt.Sprint(c.seq), Type: typ}
		c.fold(events.Event{ID: events.ToldID(told.Source, told.From, told.ID), Type: events.NoteTold, Source: events.SourceKube, At: c.now, Told: told, Body: events.Note{Objects: about}})
	}
	set, pod := events.RefFor(events.DaemonSet, ds), events.Ref{Kind: events.Pod, Key: events.Key{Namespace: kubeAgent.Namespace, Name: "other"}, UID: "p"}
	held := func(why string) {
		t.Helper()
		r := controller.Reconcile(c.s, kubeAgent, c.now)
		if r.Plan == nil || len(r.Plan.Commands) > 0 || len(r.Writes) > 0 || r.Status != nil || fmt.Sprint(r.Plan.Held) != "[{unrecorded 2}]" {
			t.Fatalf("decided %+v", r)
		}
		if _, trace := controller.Explain(c.s, kubeAgent, c.now); len(trace.Blockers) != 1 || trace.Blockers[0].String() != "unrecorded "+why {
			t.Errorf("explained by %v", trace.Blockers)
		}
	}
	note(events.NoteLarge, set)
	held("DaemonSet kube-system/agent")
	raw, err := c.s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	if c.s, err = projector.ReadKeyframe(raw, "bench", table.New(table.History{})); err != nil {
		t.Fatal(err)
	}
	held("DaemonSet kube-system/agent")
	note(events.NoteStrange, pod, set)
	c.apply(next)
	held("Pod kube-system/other")
	note(events.NoteGone, pod)
	if r := controller.Reconcile(c.s, kubeAgent, c.now); len(r.Writes) != 1 {
		t.Errorf("when the log has all nothing is done: %+v", r)
	}
	if note(events.NoteLarge, events.Ref{Kind: events.DaemonSet, Key: kubeAgent, UID: "another"}); len(c.s.Missed()) > 0 {
		t.Errorf("of another of the name: %v", c.s.Missed())
	}
}

// Rollouts only: old pods of OnDelete DaemonSets that ask for it, within their budget,
// and nothing else.
func TestRolloutsOfARealCluster(t *testing.T) {
	c, ds := realCluster(t, 3)
	c.charter(events.Rollouts)
	next := ds.DeepCopy()
	next.Generation, next.Annotations[daemonpod.GenerationAnnotation] = 2, "2"
	next.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
	image("a:2")(next)
	c.apply(next)
	if r := controller.Reconcile(c.s, kubeAgent, c.now); r.Plan != nil || len(r.Writes) > 0 || r.Status != nil {
		t.Errorf("without the annotation: %+v", r)
	}
	next = next.DeepCopy()
	next.Annotations[events.AnnotationRollout] = `{"maxUnavailable":"2"}`
	c.apply(next)
	if all, _, _ := controller.Holding(c.s, kubeAgent, c.now, controller.About{}); len(all) != 1 || !strings.Contains(all[0].Says, "rollcall/rollout takes what maxUnavailable is") {
		t.Errorf("with a value that is none: %+v", all)
	}
	next = next.DeepCopy()
	next.Annotations[events.AnnotationRollout] = `{"maxUnavailable":2}`
	c.apply(next)
	if r := controller.Reconcile(c.s, kubeAgent, c.now); r.Plan != nil || len(r.Writes) > 0 || r.Status != nil {
		t.Errorf("before the cluster has made the revision: %+v", r)
	}
	for _, w := range controller.Wish(c.s, kubeAgent, c.now).Writes {
		e, err := w.Entry(c.subjects)
		if err != nil {
			t.Fatal(err)
		}
		c.fold(e.Event)
	}
	r := controller.Reconcile(c.s, kubeAgent, c.now)
	if got := c.due(); got != "DeletePod node-00000 Rollout, DeletePod node-00001 Rollout" || len(r.Writes) > 0 || r.Status != nil {
		t.Errorf("due %q, and %+v", got, r)
	}
	c.fold(controller.PlanEntry(r.Plan, c.subjects, 0).Event)
	c.answer(r.Plan, c.seq)
	for _, e := range c.facts {
		c.fold(e)
	}
	if got := c.due(); got != "" {
		t.Errorf("missing pods are the cluster's to make: %s", got)
	}
	c.check(t)
}

// A namespace that is being deleted gets no pods, and what its quota or its end
// refuses begins no slow start.
func TestNamespaceOfARealCluster(t *testing.T) {
	c, _ := realCluster(t, 1)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "ns", DeletionTimestamp: &metav1.Time{Time: c.now}}}
	c.fold(c.object(events.Namespace, events.VerbUpdated, ns, events.Cause{}))
	c.fold(c.object(events.Node, events.VerbCreated, c.node(5), events.Cause{}))
	r := controller.Reconcile(c.s, kubeAgent, c.now)
	if r.Plan != nil || fmt.Sprint(r.Held) != "[{namespace 1}]" {
		t.Errorf("plan %v, held %v", r.Plan, r.Held)
	}
}

// A DaemonSet that is not in the scope of the charter is left alone, and the budget
// of one that names none is the charter's.
func TestScopeOfARealCluster(t *testing.T) {
	c, _ := realCluster(t, 1)
	c.fold(events.Event{Type: events.Chartered, Source: "kube", At: c.now, Body: events.Charter{Cluster: "ks", Mode: events.Control,
		Scope: events.Scope{Namespaces: []string{"elsewhere"}}, Budget: events.BudgetUpstream}})
	c.fold(c.object(events.Node, events.VerbCreated, c.node(5), events.Cause{}))
	_, trace := controller.Explain(c.s, kubeAgent, c.now)
	if got := c.due(); got != "" || len(trace.Blockers) != 1 || trace.Blockers[0].Rule != controller.RuleScope {
		t.Errorf("due %q, explained by %v", got, trace.Blockers)
	}
	if got := c.s.DaemonSet(kubeAgent).Settings.Budget; got != events.BudgetUpstream {
		t.Errorf("budget %s", got)
	}
	c.check(t)
}

// L05: of a real cluster a kubelet's time is believed where it is hardly before log time,
// since everybody else counts by it; a clock that is far off counts for nothing.
func TestReadinessOfARealCluster(t *testing.T) {
	for _, x := range []struct {
		before time.Duration // of log time, the kubelet's
		counts time.Duration
	}{{time.Second, time.Second}, {time.Minute, 0}, {-time.Minute, 0}} {
		c, _ := realCluster(t, 1)
		p := c.pods()[0]
		for _, status := range []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue} {
			c.now = c.now.Truncate(time.Second).Add(time.Minute)
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(c.now.Add(-x.before))}}
			c.alter(p)
		}
		for q := range c.s.Pods() {
			if got := c.s.Time().Sub(q.ReadySince); got.Round(time.Second/10) != x.counts {
				t.Errorf("%s before log time: ready for %s, want %s", x.before, got, x.counts)
			}
		}
	}
}
