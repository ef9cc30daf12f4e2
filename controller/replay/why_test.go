package replay_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/events/memlog"
)

// TestEffectsAreWhy: an event has led to another if, and only if, the other comes
// from it.
func TestEffectsAreWhy(t *testing.T) {
	for _, seed := range seeds {
		log := simtest.Run(seed, simtest.Options{}).Log()
		h := open(t, log)
		cs := causes(t, h)
		es := all(t, log)
		from := map[events.Seq][]events.Event{} // by an event, those that come from it
		for _, e := range es {
			for _, l := range cs.Chain(replay.Link{Seq: e.Seq, Index: -1})[1:] {
				if _, command := l.Command(); !command {
					from[l.Seq] = append(from[l.Seq], e)
				}
			}
		}
		for _, e := range es {
			if e.Seq%7 != 0 {
				continue
			}
			x, err := h.Effects(t.Context(), cs, e.Seq, 3)
			if err != nil {
				t.Fatal(err)
			}
			deleted, facts := 0, 0
			for _, f := range from[e.Seq] {
				if _, plan := f.Body.(*events.Plan); plan {
					continue
				}
				facts++
				if f.Type == events.ObjectType(events.Pod, events.VerbDeleted) {
					deleted++
				}
			}
			got := 0
			for _, f := range x.Facts {
				if f.Type != events.Planned {
					got += f.N
				}
			}
			if _, plan := e.Body.(*events.Plan); !plan && (x.Deleted != deleted || got != facts) {
				t.Errorf("seed %d, #%d: %d facts and %d pods deleted come from it, %d and %d are told", seed, e.Seq, facts, deleted, got, x.Deleted)
			}
		}
	}
}

// TestWhy: every pod is explained, from the position that was asked about back to
// an event of somebody outside, and what freed a command that was kept back is
// between the plan before and its basis.
func TestWhy(t *testing.T) {
	freed := 0
	for seed := range uint64(12) {
		log := simtest.Run(seed, simtest.Options{}).Log()
		h := open(t, log)
		cs := causes(t, h)
		for _, key := range cs.Keys(events.Pod) {
			x, err := h.Why(t.Context(), cs, replay.Subject{Kind: events.Pod, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			if !x.Known {
				t.Errorf("seed %d: %s: what it comes from is not known: %+v", seed, x.Object, x.Steps)
			}
			for i, s := range x.Steps {
				if i > 0 && s.Seq >= x.Steps[i-1].Seq {
					t.Errorf("seed %d: %s: #%d comes from #%d", seed, x.Object, x.Steps[i-1].Seq, s.Seq)
				}
				if d := s.Decision; d != nil && d.Rule == "" {
					t.Errorf("no rule for %s", d.Command.Reason)
				} else if d != nil && d.Held != nil && d.Held.Freed != nil {
					freed++
					if at := d.Held.Freed.Seq; at > d.Basis.Seq || at <= x.Steps[i+1].Seq {
						t.Errorf("seed %d: %s: freed at #%d, decided from #%d", seed, x.Object, at, d.Basis.Seq)
					}
				}
			}
		}
	}
	if freed < 10 {
		t.Errorf("%d commands were kept back and freed: that says nothing", freed)
	}
}

// author appends what somebody does to a log.
type author struct {
	t   *testing.T
	log *memlog.Log
	now time.Time
	n   byte
}

func newAuthor(t *testing.T) *author {
	a := &author{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	a.log = memlog.New(subjects, func() time.Time { return a.now })
	return a
}

func (a *author) says(e events.Event) events.Seq {
	a.t.Helper()
	a.n++
	a.now = a.now.Add(time.Second)
	e.ID, e.At = ulid.ULID{15: a.n}, a.now
	seq, err := a.log.Append(a.t.Context(), events.Entry{Event: e})
	if err != nil {
		a.t.Fatal(err)
	}
	return seq
}

func (a *author) writes(actor, source, verb string, k events.Kind, o metav1.Object) events.Seq {
	a.t.Helper()
	b, err := events.NewObject(k, o)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.says(events.Event{Type: events.ObjectType(k, verb), Source: source, Actor: actor, Body: b})
}

func agent(image string) *appsv1.DaemonSet {
	labels := map[string]string{"app": "agent"}
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "logging", Name: "agent", UID: "ds-1", Generation: 1},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: image}}}}}}
}

// TestWhyField: a field is explained by the last change of it, whatever else has
// changed since; an object by what the controller did not write.
func TestWhyField(t *testing.T) {
	a := newAuthor(t)
	made := a.writes("alice", "apiserver", events.VerbCreated, events.DaemonSet, agent("agent:1"))
	ds := agent("agent:2")
	set := a.writes("bob", "apiserver", events.VerbUpdated, events.DaemonSet, ds)
	ds.Labels = map[string]string{"team": "blue"}
	labelled := a.writes("carol", "apiserver", events.VerbUpdated, events.DaemonSet, ds)
	ds.Status.DesiredNumberScheduled = 1
	status := a.writes("", "controller", events.VerbUpdated, events.DaemonSet, ds)
	h := open(t, a.log)
	cs := causes(t, h)
	for _, c := range []struct {
		field string
		want  events.Seq
		known bool
	}{
		{"", labelled, true},
		{"spec.template.spec.containers[agent].image", set, true},
		{"spec.template.spec.containers.agent", set, true},
		{"spec.template.spec.containers[0].image", set, true},
		{"spec.template.spec.containers[name=agent].image", set, true},
		{"spec.template.spec.containers[0].name", made, true},
		{"spec.template.spec.containers['agent'].name", made, true},
		{"spec.selector", made, true},
		{"metadata.labels", labelled, true},
		{"status.desiredNumberScheduled", status, false},
	} {
		about, err := replay.ParseSubject(strings.TrimSuffix("ds/agent."+c.field, "."), "logging")
		if err != nil {
			t.Fatal(err)
		}
		x, err := h.Why(t.Context(), cs, about)
		if err != nil {
			t.Errorf("%q: %v", c.field, err)
			continue
		}
		if x.Steps[0].Seq != c.want || x.Known != c.known {
			t.Errorf("%q is explained by #%d, known %v; want #%d, %v", c.field, x.Steps[0].Seq, x.Known, c.want, c.known)
		}
	}
	for _, c := range []struct{ name, field, code string }{{"agent", "spec.paused", "E-REPLAY-FIELD"}, {"other", "", "E-REPLAY-OBJECT"}} {
		var refused *events.Error
		_, err := h.Why(t.Context(), cs, replay.Subject{Kind: events.DaemonSet, Key: events.Key{Namespace: "logging", Name: c.name}, Field: c.field})
		if !errors.As(err, &refused) || refused.Code != c.code {
			t.Errorf("%s %q: %v, want %s", c.name, c.field, err, c.code)
		}
	}
}

// TestWhyUnknown: a command whose reason never held is not explained by a guess.
func TestWhyUnknown(t *testing.T) {
	a := newAuthor(t)
	a.writes("alice", "apiserver", events.VerbCreated, events.DaemonSet, agent("agent:1"))
	key := events.Key{Namespace: "logging", Name: "agent-x"}
	plan := a.says(events.Event{Type: events.Planned, Source: "controller", Body: &events.Plan{
		Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "logging", Name: "agent"}, UID: "ds-1"}, Basis: events.Basis{Seq: 1, Now: a.now},
		Commands: []events.Command{{Do: events.CreatePod, Ref: events.Ref{Kind: events.Pod, Key: key, UID: "pod-1"}, Node: "n1", Reason: events.Missing}}}})
	b, err := events.NewObject(events.Pod, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "pod-1"}})
	if err != nil {
		t.Fatal(err)
	}
	a.says(events.Event{Type: events.ObjectType(events.Pod, events.VerbCreated), Source: "executor", Cause: events.Cause{Seq: plan}, Body: b})
	h := open(t, a.log)
	x, err := h.Why(t.Context(), causes(t, h), replay.Subject{Kind: events.Pod, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if x.Known || len(x.Steps) != 2 || x.Steps[1].Decision == nil {
		t.Errorf("explained by %+v, known %v", x.Steps, x.Known)
	}
}
