package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/publisher/executor"
)

// wanted is a pod as an executor wants it made.
func wanted() executor.Creation {
	p := daemonPod("agent-1", "wish", "")
	p.Labels = map[string]string{daemonpod.RevisionLabel: "r1"}
	p.Spec.NodeName, p.Status.Phase = "n1", corev1.PodPending
	return executor.Creation{Pod: p, Cause: events.Cause{Seq: 7, Index: 2}}
}

// A pod is asked for with the mark of its command and without what a server decides. One
// that has the name already is it if it has the mark, somebody else's of the same
// DaemonSet and revision is as good, and any other has the name.
func TestCreate(t *testing.T) {
	p := requestOf(wanted().Pod, "log-1/7.2")
	if p.UID != "" || p.Spec.NodeName != "" || p.Status.Phase != "" || !p.CreationTimestamp.IsZero() || p.Annotations[daemonpod.CauseAnnotation] != "log-1/7.2" || len(p.OwnerReferences) != 1 {
		t.Errorf("asked for %+v", p)
	}
	const exists = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"AlreadyExists","code":409}`
	pod := func(mark, owner, revision string) string {
		return fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"agent-1","namespace":"default","uid":"a","resourceVersion":"9","annotations":{"rollcall/cause":%q},
"labels":{"controller-revision-hash":%q},"ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"agent","uid":%q,"controller":true}]}}`, mark, revision, owner)
	}
	for _, c := range []struct {
		name, is, want string
		code           int
	}{
		{"made", pod("log-1/7.2", "ds", "r1"), "", 201},
		{"made by an earlier try", pod("log-1/7.2", "ds", "r1"), "", 409},
		{"made by another", pod("log-2/9.0", "ds", "r1"), reasonExists, 409},
		{"of another revision", pod("log-2/9.0", "ds", "r2"), "AlreadyExists", 409},
		{"of another DaemonSet", pod("log-1/7.1", "other", "r1"), "AlreadyExists", 409},
	} {
		s := &callee{answer: func(method, _ string) (int, string) {
			if method == http.MethodPost && c.code == 409 {
				return 409, exists
			}
			return 200, c.is
		}}
		w := worldOf(t, s, Rights{Control: true})
		got, err := w.Create(t.Context(), wanted())
		reason := ""
		var refusal *executor.Refusal
		var late *executor.Overtaken
		switch {
		case errors.As(err, &refusal):
			reason = refusal.Reason
		case errors.As(err, &late):
			reason = late.Reason
		case err != nil || got.UID != "a" || got.ResourceVersion != "9":
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
		if reason != c.want || s.calls[0] != createPath || w.call(agentKey) == nil {
			t.Errorf("%s: %q, calls %v", c.name, reason, s.calls)
		}
	}
}

// A pod is said to be a command's by its mark if that is of this log and the command says
// so too: what was made and could not be told is told by whoever hears of it.
func TestAttribution(t *testing.T) {
	for _, c := range []struct {
		name, pod, mark string
		ours            bool
	}{
		{"ours", "agent-1", "log-1/1.0", true},
		{"of another log", "agent-1", "log-2/1.0", false},
		{"a copied mark", "agent-2", "log-1/1.0", false},
		{"no command", "agent-1", "log-1/1.5", false},
		{"no mark", "agent-1", "log-1/x", false},
	} {
		w := NewWorld(&Cluster{}, Rights{Control: true})
		r, log, _ := recorderOf(t, w)
		plan := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "default", Name: "agent"}, UID: "ds"}, Basis: events.Basis{Now: time.Unix(1e9, 0).UTC()},
			Commands: []events.Command{{Do: events.CreatePod, Ref: events.Ref{Kind: events.Pod, Key: agentKey, UID: "wish"}, Node: "n1", NodeUID: "n", Revision: "r1", Reason: events.Missing}}}
		if _, err := log.Append(t.Context(), events.Entry{Event: events.Event{ID: factID(0, &Seen{}, "plan"), Type: events.Planned, Source: "controller", Body: plan}}); err != nil {
			t.Fatal(err)
		}
		p := daemonPod(c.pod, "a", "7")
		p.Annotations = map[string]string{daemonpod.CauseAnnotation: c.mark}
		r.hear(t, events.Pod, p)
		var cause events.Cause
		for e := range log.Read(t.Context(), 1) {
			cause = e.Cause
		}
		if (cause == events.Cause{Seq: 1}) != c.ours {
			t.Errorf("%s: caused by %v", c.name, cause)
		}

		w.Take(time.Unix(5e8, 0)) // long before the pod was made
		s, err := read(events.Pod, func() metav1.Object { q := p.DeepCopy(); q.Name, q.UID = "agent-9", "z"; return q }(), false)
		if err == nil {
			err = r.tellSeen(t.Context(), s, false)
		}
		if rival := (errRival{}); !errors.As(err, &rival) || !w.taken().IsZero() {
			t.Errorf("%s: a pod of nobody's command: %v, and controlled since %s", c.name, err, w.taken())
		}
	}
}

// A revision whose name is there already is what has the name: what the log is told, and
// a controller counts as a collision, unless an earlier try has made it.
func TestRevisionExists(t *testing.T) {
	const is = `{"kind":"ControllerRevision","apiVersion":"apps/v1","metadata":{"name":"r","namespace":"default","uid":"theirs","resourceVersion":"9"}}`
	s := &callee{answer: func(method, _ string) (int, string) {
		if method == http.MethodPost {
			return 409, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"AlreadyExists","code":409}`
		}
		return 200, is
	}}
	o, err := worldOf(t, s, Rights{Control: true}).Write(t.Context(), events.VerbCreated, &appsv1.ControllerRevision{ObjectMeta: metaOf("r", "wish", "")})
	if err != nil || o.GetUID() != "theirs" || len(s.calls) != 2 {
		t.Errorf("%v, %v; calls %v", o, err, s.calls)
	}
}

// Of the calls at once some are left for those that end pods while pods are made, and the
// other way round.
func TestKindsLeaveRoom(t *testing.T) {
	w := worldOf(t, &callee{}, Rights{Control: true})
	for _, c := range []struct {
		name        string
		busy, other chan struct{}
	}{{"made", w.creates, w.ends}, {"ended", w.ends, w.creates}} {
		var all []func()
		for range kindInFlight {
			_, leave, err := w.enterAs(t.Context(), c.busy)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, leave)
		}
		full, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, _, err := w.enterAs(full, c.busy); err == nil {
			t.Errorf("pods are %s in every place", c.name)
		}
		cancel()
		_, leave, err := w.enterAs(t.Context(), c.other)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range append(all, leave) {
			f()
		}
	}
}

// What only a controller of DaemonSets writes is odd by anybody else, since the take-over.
func TestOdd(t *testing.T) {
	const since = 1e9
	set := func(manager string, at int64) *Seen {
		return &Seen{Object: events.Object{Ref: events.Ref{Kind: events.DaemonSet}}, hands: [3]hand{wroteStatus: {manager: manager, at: time.Unix(at, 0)}, wroteObject: {manager: "kubectl", at: time.Unix(at, 0)}}}
	}
	revision := func(owner *metav1.OwnerReference) *Seen {
		return &Seen{Object: events.Object{Ref: events.Ref{Kind: events.ControllerRevision}}, owner: owner, hands: [3]hand{wroteObject: {manager: kubeControllerManager, at: time.Unix(since+1, 0)}}}
	}
	for _, c := range []struct {
		name string
		s    *Seen
		odd  bool
	}{
		{"a status", set("other", since+1), true},
		{"a status of ours", set(manager, since+1), false},
		{"a status of before", set("other", since), false},
		{"a spec", set("", since+1), false},
		{"a revision", revision(&metav1.OwnerReference{}), true},
		{"an orphan", revision(nil), false},
	} {
		if c.s.odd(since) != c.odd {
			t.Errorf("%s: odd is %v", c.name, !c.odd)
		}
	}
}

// Who else acts is seen by what he makes and writes after the take-over, and what was there
// before is nobody's fault.
func TestRival(t *testing.T) {
	const since = 1e9
	yes := true
	revision := func(manager string, at int64) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "r", UID: "r", ResourceVersion: "5", CreationTimestamp: metav1.Unix(at, 0),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: "ds", Controller: &yes}},
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: manager, Operation: "Update", Time: &metav1.Time{Time: time.Unix(at, 0)}}}}}
	}
	set := func(manager string, at int64) *appsv1.DaemonSet {
		ds := daemonSet("ds", "5")
		ds.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: manager, Operation: "Update", Subresource: "status", Time: &metav1.Time{Time: time.Unix(at, 0)}}}
		return ds
	}
	pod := func(at int64) *corev1.Pod {
		p := daemonPod("agent-1", "a", "5")
		p.CreationTimestamp = metav1.Unix(at, 0)
		return p
	}
	for _, c := range []struct {
		name  string
		kind  events.Kind
		o     metav1.Object
		ours  bool
		rival bool
	}{
		{"a pod", events.Pod, pod(since + 1), false, true},
		{"a pod of ours", events.Pod, pod(since + 1), true, false},
		{"a pod of before", events.Pod, pod(since), false, false},
		{"a revision", events.ControllerRevision, revision(kubeControllerManager, since+1), false, true},
		{"a revision of ours", events.ControllerRevision, revision(manager, since+1), false, false},
		{"a revision that a user has made", events.ControllerRevision, revision("kubectl", since+1), false, false},
		{"a revision of before", events.ControllerRevision, revision(kubeControllerManager, since), false, false},
		{"a status", events.DaemonSet, set(kubeControllerManager, since+1), false, true},
		{"a status of before", events.DaemonSet, set(kubeControllerManager, since), false, false},
		{"a status of ours", events.DaemonSet, set(manager, since+1), false, false},
	} {
		s, err := read(c.kind, c.o, false)
		if err != nil {
			t.Fatal(err)
		}
		if what := s.rival(since, c.ours); (what != "") != c.rival {
			t.Errorf("%s: %q", c.name, what)
		}
	}
}

// What a controller writes is as it came back; what the cluster has otherwise by now is
// decided again, and nothing is written by who does not control it.
func TestWrite(t *testing.T) {
	revision := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "r", UID: "wish", ResourceVersion: "3"}}
	const is = `{"kind":"ControllerRevision","apiVersion":"apps/v1","metadata":{"name":"r","namespace":"default","uid":"theirs","resourceVersion":"9","managedFields":[{"manager":"x"}]}}`
	for _, c := range []struct {
		name, verb, call string
		code             int
		conflict         bool
	}{
		{"made", events.VerbCreated, "POST /apis/apps/v1/namespaces/default/controllerrevisions", 201, false},
		{"renumbered", events.VerbUpdated, "PUT /apis/apps/v1/namespaces/default/controllerrevisions/r", 200, false},
		{"forgotten", events.VerbDeleted, "DELETE /apis/apps/v1/namespaces/default/controllerrevisions/r", 200, false},
		{"changed", events.VerbUpdated, "PUT /apis/apps/v1/namespaces/default/controllerrevisions/r", 409, true},
		{"gone", events.VerbDeleted, "DELETE /apis/apps/v1/namespaces/default/controllerrevisions/r", 404, true},
	} {
		s := &callee{answer: func(string, string) (int, string) {
			if c.code >= 400 {
				reason := map[int]string{404: "NotFound", 409: "Conflict"}[c.code]
				return c.code, fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, c.code)
			}
			return c.code, is
		}}
		w := worldOf(t, s, Rights{Control: true})
		o, err := w.Write(t.Context(), c.verb, revision)
		if errors.Is(err, events.ErrConflict) != c.conflict || (err == nil) == c.conflict || !slices.Equal(s.calls, []string{c.call}) {
			t.Errorf("%s: %v, calls %v", c.name, err, s.calls)
		}
		if err == nil && c.verb != events.VerbDeleted && (o.GetUID() != types.UID("theirs") || o.GetManagedFields() != nil) {
			t.Errorf("%s: %v", c.name, o)
		}
		w.Let()
		if _, err := w.Write(t.Context(), c.verb, revision); !errors.Is(err, events.ErrConflict) || len(s.calls) != 1 {
			t.Errorf("%s: written by who does not control: %v", c.name, err)
		}
	}
}
