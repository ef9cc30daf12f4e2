package events_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"rollcall/events"
)

func nodeFact(t *testing.T, name string, uid types.UID) events.Event {
	t.Helper()
	n := &corev1.Node{}
	n.Name, n.UID = name, uid
	o, err := events.NewObject(events.Node, n)
	if err != nil {
		t.Fatal(err)
	}
	return events.Event{ID: ulid.Make(), Type: "node.created", Body: o}
}

func believed(e events.Event) string {
	if b, bad := e.Body.(events.Unreadable); bad {
		return b.Code
	}
	return ""
}

// finding H3, finding L4
func TestDoubt(t *testing.T) {
	ref := func(k events.Kind, ns, name string) events.Ref {
		return events.Ref{Kind: k, Key: events.Key{Namespace: ns, Name: name}, UID: "u"}
	}
	gone := func(typ events.Type, r events.Ref) events.Event {
		return events.Event{Type: typ, Body: events.Gone{Ref: r}}
	}
	with := func(e events.Event, f func(*events.Event)) events.Event { f(&e); return e }
	plan := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "a", Name: "b"}, UID: "u"}}
	for name, c := range map[string]struct {
		e    events.Event
		want string
	}{
		"a node":              {nodeFact(t, "n1.example.com", "u"), ""},
		"without a uid":       {nodeFact(t, "n1", ""), "E-EVT-UID"},
		"a uid with a bell":   {nodeFact(t, "n1", "u\a"), "E-EVT-UID"},
		"a star":              {nodeFact(t, "*", "u"), "E-EVT-NAME"},
		"NUL":                 {nodeFact(t, "n\x00", "u"), "E-EVT-NAME"},
		"an escape":           {nodeFact(t, "n\x1b[2J", "u"), "E-EVT-NAME"},
		"too long":            {nodeFact(t, strings.Repeat("n", 254), "u"), "E-EVT-NAME"},
		"no UTF-8":            {gone("node.deleted", ref(events.Node, "", "n\xff")), "E-EVT-NAME"},
		"unknown verb":        {with(nodeFact(t, "n1", "u"), func(e *events.Event) { e.Type = "node.exploded" }), "E-EVT-TYPE"},
		"another kind":        {with(nodeFact(t, "n1", "u"), func(e *events.Event) { e.Type = "pod.created" }), "E-EVT-TYPE"},
		"deleted, but there":  {with(nodeFact(t, "n1", "u"), func(e *events.Event) { e.Type = "node.deleted" }), "E-EVT-TYPE"},
		"a node in a space":   {gone("node.deleted", ref(events.Node, "x", "n1")), "E-EVT-NAME"},
		"a pod in none":       {gone("pod.deleted", ref(events.Pod, "", "p")), "E-EVT-NAME"},
		"a dotted namespace":  {gone("namespace.deleted", ref(events.Namespace, "", "a.b")), "E-EVT-NAME"},
		"a role's name":       {gone("clusterrole.deleted", ref("ClusterRole", "", "system:controller:x")), ""},
		"a role with a slash": {gone("clusterrole.deleted", ref("ClusterRole", "", "a/b")), "E-EVT-NAME"},
		"its subject":         {with(nodeFact(t, "n1.x", "u"), func(e *events.Event) { e.Subject = "rollcall.c.node._.n1_x" }), ""},
		"another's subject":   {with(nodeFact(t, "n1", "u"), func(e *events.Event) { e.Subject = "rollcall.c.node._.n2" }), "E-EVT-SUBJECT"},
		"a pod's subject":     {with(nodeFact(t, "n1", "u"), func(e *events.Event) { e.Subject = "rollcall.c.pod._.n1" }), "E-EVT-SUBJECT"},
		"another object": {with(nodeFact(t, "n1", "u"), func(e *events.Event) {
			o := e.Body.(events.Object)
			o.Key.Name = "n2"
			e.Body = o
		}), "E-EVT-OBJECT"},
		"a plan": {events.Event{Type: events.Planned, Body: plan, Subject: "rollcall.c.plan.a.b"}, ""},
		"a plan for another's pods": {events.Event{Type: events.Planned, Body: &events.Plan{Owner: plan.Owner,
			Commands: []events.Command{{Do: events.CreatePod, Ref: ref(events.Pod, "a", "p")}, {Do: events.DeletePod, Ref: ref(events.Pod, "c", "p")}}}}, "E-EVT-TYPE"},
		"a plan for Secrets": {events.Event{Type: events.Planned, Body: &events.Plan{Owner: plan.Owner,
			Commands: []events.Command{{Do: events.DeletePod, Ref: ref(events.Secret, "a", "p")}}}}, "E-EVT-TYPE"},
		"a plan as a fact":  {events.Event{Type: "daemonset.updated", Body: plan}, "E-EVT-TYPE"},
		"an outcome's type": {events.Event{Type: "command.exploded", Body: events.Outcome{Owner: events.Ref{Kind: events.DaemonSet, Key: plan.Owner.Key, UID: "u"}}}, "E-EVT-TYPE"},
	} {
		if code, why := events.Doubt(&c.e); code != c.want || (why == "") != (code == "") || strings.ContainsFunc(why, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%s: %q %q, want %q", name, code, why, c.want)
		}
	}
}

// finding H4
func TestScreenCountsOnce(t *testing.T) {
	s := events.NewScreen()
	seq := events.Seq(0)
	take := func(e events.Event) string {
		seq++
		e.Seq = seq
		return believed(s.Take(e))
	}
	plan := func(basis events.Seq) events.Event {
		return events.Event{ID: ulid.Make(), Type: events.Planned, Body: &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "a", Name: "b"}, UID: "u"},
			Basis: events.Basis{Seq: basis}, Commands: []events.Command{{Do: events.CreatePod, Ref: events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "a", Name: "p"}, UID: "p"}}}}}
	}
	answer := func(of events.Seq, i int) events.Event {
		return events.Event{ID: ulid.Make(), Type: events.Failed, Cause: events.Cause{Seq: of, Index: i},
			Body: events.Outcome{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "a", Name: "b"}, UID: "u"}}}
	}
	first, fact := plan(1), nodeFact(t, "n1", "u")
	for i, c := range []struct {
		e    events.Event
		want string
	}{
		{fact, ""},
		{first, ""},                    // #2
		{answer(2, 0), ""},             //
		{answer(2, 0), "E-EVT-ANSWER"}, // again
		{answer(2, 1), "E-EVT-ANSWER"}, // never planned
		{first, "E-EVT-REPEATED"},      // a copy of its bytes
		{plan(1), "E-EVT-STALE"},       // the same under another id
		{answer(7, 0), "E-EVT-ANSWER"}, // of what is not believed
		{plan(100), "E-EVT-STALE"},     // from what comes later
		{plan(2), ""},                  // #10, knows #2
		{fact, "E-EVT-REPEATED"},       //
		{plan(9), "E-EVT-STALE"},       // does not know #10
		{events.Event{ID: ulid.Make(), Type: events.GCPlanned, Body: &events.Plan{Basis: events.Basis{Seq: 12}}}, ""},
		{events.Event{ID: ulid.Make(), Type: events.GCPlanned, Body: &events.Plan{Basis: events.Basis{Seq: 12}}}, "E-EVT-STALE"},
	} {
		if got := take(c.e); got != c.want {
			t.Errorf("#%d: %q, want %q", i+1, got, c.want)
		}
	}
	for range events.RecentEvents - 20 {
		take(events.Event{ID: ulid.Make(), Type: "node.deleted", Body: events.Gone{Ref: events.Ref{Kind: events.Node, Key: events.Key{Name: "x"}, UID: "u"}}})
	}
	if got := take(fact); got != "E-EVT-REPEATED" {
		t.Errorf("among the last %d events: %q", events.RecentEvents, got)
	}
}

// TestObjectNames holds the check of the hot path against Kubernetes' own.
// A definition may call its kind anything whose lower case is a DNS label: an object
// of such a kind was written, and then counted for nothing.
func TestKindsOfDefinitions(t *testing.T) {
	for kind, want := range map[string]bool{"Widget": true, "widget-2-crd": true, "-widget": false, "widget-": false, "wid get": false, "wid_get": false} {
		key := events.Key{Namespace: "x", Name: "w"}
		if why := events.CheckObjectName(events.CustomKind("example.com", kind), key); (why == "") != want {
			t.Errorf("%s: %q", kind, why)
		}
	}
}

func TestObjectNames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, uint64(time.Hour)))
	const letters = "a9.-_A"
	for range 200_000 {
		name := make([]byte, 1+r.IntN(6))
		for i := range name {
			name[i] = letters[r.IntN(len(letters))]
		}
		got := events.CheckObjectName(events.Pod, events.Key{Namespace: "x", Name: string(name)}) == ""
		if want := len(validation.IsDNS1123Subdomain(string(name))) == 0; got != want {
			t.Fatalf("%q: %v, Kubernetes says %v", name, got, want)
		}
	}
}
