package replay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/wire"
)

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
	{"a second old pod is deleted after nobody can tell who has used up the budget", func(w *tape) events.Seq {
		for i := range eventBurst {
			w.says("SuccessfulCreate", fmt.Sprint("Created pod: other-", i))
		}
		w.image("agent:2")
		w.ends("agent-a", "")
		return w.deletes("agent-b")
	}, Other, "DeletePod pod/agent-b on b daemonset-controller DeletePod agent-a on a (Rollout)"},
	{"a new pod is deleted", func(w *tape) events.Seq { return w.deletes("agent-a") }, Extra, "daemonset-controller"},
	{"a pod is made beside another", func(w *tape) events.Seq { return w.makes("agent-c", "a") }, Extra, "CreatePod pod/agent-c on a " + managerOfCluster},
	{"a user deletes a pod", func(w *tape) events.Seq { return w.ends("agent-a", "") }, Foreign, "a user"},
	{"a pod is evicted", func(w *tape) events.Seq { return w.ends("agent-a", "EvictionByEvictionAPI") }, Foreign, "disruption: EvictionByEvictionAPI"},
	{"a pod goes with its DaemonSet", func(w *tape) events.Seq {
		w.gone(events.DaemonSet, events.Key{Namespace: "logging", Name: "agent"}, w.ds.UID)
		return w.ends("agent-a", "")
	}, Foreign, "garbage collector"},
	{"a pod is made with the revision of the DaemonSet before", func(w *tape) events.Seq {
		w.gone(events.DaemonSet, events.Key{Namespace: "logging", Name: "agent"}, w.ds.UID)
		w.ds = w.ds.DeepCopy()
		w.ds.UID, w.ds.CreationTimestamp = "ds-again", w.now()
		w.seen(events.DaemonSet, w.ds)
		return w.makes("agent-c", "a")
	}, Extra, "CreatePod pod/agent-c on a revision"},
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
	{"a pod is deleted for a spec that the log does not have", func(w *tape) events.Seq { w.leaps(); return w.deletes("agent-a") }, Unseen, "agent-a"},
	{"a pod is deleted long after a spec that the log does not have", func(w *tape) events.Seq { w.leaps(); w.passes(slowest + time.Second); return w.deletes("agent-a") }, Extra, "agent-a daemonset-controller"},
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
