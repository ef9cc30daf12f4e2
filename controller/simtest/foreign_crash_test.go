package simtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// crash is where the process ends that controls the foreign world: at the n-th time that
// something of a kind has come so far.
type crash struct {
	verb, point string
	n           int
	at          uint64 // the revision of the world then; 0: it has not ended yet
	pod         events.Key
}

// killed ends a step in the middle.
type killed struct{}

// reached ends the process if it is to end there.
func (f *foreign) reached(verb, point string) {
	c := f.crash
	if c == nil || c.at > 0 {
		return
	}
	if point == "answer" {
		c.pod = f.server.changes[len(f.server.changes)-1].Key
	}
	if c.verb != verb || c.point != point {
		return
	}
	if c.n--; c.n == 0 {
		c.at = f.server.rv
		panic(killed{})
	}
}

// unsaid reports whether it cannot be known who made a change: the process ended before
// it could say that it was its own doing. Only a pod that was made has a mark.
func (f *foreign) unsaid(rv uint64) bool {
	c := f.crash
	return c != nil && c.at == rv && (c.point == "answer" || c.point == "append") && c.verb != "create"
}

// mortal is the log to which a process appends that may end by that.
type mortal struct {
	events.Log
	f *foreign
}

// Append implements events.Log.
func (l mortal) Append(ctx context.Context, es ...events.Entry) (events.Seq, error) {
	verb := l.verb(es[0])
	l.f.reached(verb, "append")
	seq, err := l.Log.Append(ctx, es...)
	if err == nil {
		l.f.reached(verb, "ack")
	}
	return seq, err
}

// verb says what an entry tells to be done; "": nothing.
func (l mortal) verb(e events.Entry) string {
	switch o, _ := e.Body.(events.Object); {
	case e.Source == "controller" && o.Kind == events.DaemonSet:
		return "status"
	case e.Source == "controller" && o.Kind == events.ControllerRevision:
		return "revision"
	case e.Source != "executor" || e.Type == events.Overtaken || e.Type == events.Failed:
		return ""
	}
	p, _ := planOf(l.f, e.Cause)
	return map[events.Verb]string{events.CreatePod: "create", events.DeletePod: "delete", events.AdoptPod: "adopt", events.ReleasePod: "release"}[p.Commands[e.Cause.Index].Do]
}

func planOf(f *foreign, c events.Cause) (*events.Plan, bool) {
	for e := range f.log.Read(context.Background(), c.Seq-1) {
		p, is := e.Body.(*events.Plan)
		return p, is && c.Index < len(p.Commands)
	}
	return nil, false
}

func markOf(c events.Cause) string { return fmt.Sprintf("%d.%d", c.Seq, c.Index) }

// attribute says that a pod was made for a command that has no answer, if that is so.
func (b *bridge) attribute(e *events.Event, c revision) {
	var p corev1.Pod
	if c.Kind != events.Pod || c.Decode(&p) != nil {
		return
	}
	for _, cause := range b.state.UnderWay() {
		plan, ok := planOf(b.foreign, cause)
		if !ok || p.Annotations[daemonpod.CauseAnnotation] != markOf(cause) || plan.Commands[cause.Index].Key != c.Key {
			continue
		}
		e.Cause, e.ID = cause, events.AnswerID(cause, plan.Basis.Now, "answer")
	}
}

// lives lets time pass, and reports whether the process has come to its end by then.
func (f *foreign) lives() (alive bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, is := r.(killed); !is {
				panic(r)
			}
			alive = false
		}
	}()
	f.step()
	return true
}

// again starts the process anew after a while in which others have gone on: it knows the
// log, and hears of the world from where it was, or from a list.
func (f *foreign) again(how string) {
	if p := f.crash.pod; how == "gone" && f.crash.verb == "create" && p.Name != "" {
		f.server.remove(events.Pod, p, "user")
	}
	for range 12 {
		f.server.now = f.server.now.Add(tick)
		f.server.act()
	}
	f.start()
	b := f.bridges[0]
	b.rng = rand.New(rand.NewPCG(f.seed, 99))
	for _, k := range foreignKinds {
		was := b.watches[k].rv
		if b.watches[k] = (&ear{rv: was}); how != "resumed" {
			b.lists(k)
		}
	}
}

// doubled says where there are two pods, of a node or of a command.
func (f *foreign) doubled() {
	on, of := map[string]string{}, map[string]string{}
	for _, p := range f.server.pods() {
		if p.DeletionTimestamp != nil {
			continue
		}
		place, mark := string(ownedBy(p))+" "+pinOf(p), p.Annotations[daemonpod.CauseAnnotation]
		if other := on[place]; other != "" && ownedBy(p) != "" {
			f.bad("%s and %s are on %s", other, p.Name, pinOf(p))
		}
		if other := of[mark]; other != "" && mark != "" {
			f.bad("%s and %s are of command %s", other, p.Name, mark)
		}
		on[place], of[mark] = p.Name, p.Name
	}
}

// wait lets time pass until something is so, and the process be started anew when it ends.
func (f *foreign) wait(most int, how string, so func() bool) {
	for range most {
		if len(f.wrong) > 0 || so() {
			return
		}
		if !f.lives() {
			f.again(how)
		}
		f.doubled()
	}
}

// fresh reports whether all pods of the DaemonSets are what they should be.
func (f *foreign) fresh() bool {
	for _, ds := range f.server.sets() {
		st := ds.Status
		if n := int32(len(f.server.keys(events.Node))); st.ObservedGeneration != ds.Generation || st.UpdatedNumberScheduled != n || st.NumberAvailable != n {
			return false
		}
	}
	return len(f.server.sets()) > 0
}

// everything has a controller do all that there is: a rollout, a pod let go, one made
// again, and pods adopted.
func (f *foreign) everything(how string) {
	key := events.Key{Namespace: "x", Name: "agent"}
	roll := func(image string) {
		f.give(key, image)
		f.wait(1000, how, f.fresh)
	}
	f.wait(200, how, f.fresh)
	roll("a:2")
	for _, p := range f.server.pods() {
		p = p.DeepCopy()
		p.Labels["app"] = "other"
		f.server.put(events.Pod, p, "user")
		break
	}
	f.wait(20, how, func() bool { return false })
	f.wait(400, how, f.fresh)
	for _, p := range f.server.pods() {
		if ownedBy(p) != "" {
			f.server.deletePod(keyOf(p), "user")
			break
		}
	}
	f.wait(20, how, func() bool { return false })
	f.wait(400, how, f.fresh)
	f.remove(key, metav1.FinalizerOrphanDependents)
	f.wait(60, how, func() bool { return len(f.server.sets()) == 0 })
	f.makeSet("agent")
	f.give(key, "a:2")
	f.wait(400, how, f.fresh)
	roll("a:1")
	f.wait(120, how, func() bool { return false })
}

// TestCrashPoints: the process that controls a cluster ends before a call, after it,
// before what came of it is in the log and after that, each time it makes a pod, ends,
// adopts and lets go one, and writes a status and a revision. Whoever goes on from the
// log, from where the cluster was heard or from a list, makes no pod twice and does no
// command twice, and the rollouts go on.
func TestCrashPoints(t *testing.T) {
	const most = 3 // times that one thing happens
	ends := map[string]int{}
	for _, verb := range []string{"create", "delete", "adopt", "release", "status", "revision"} {
		for _, point := range []string{"call", "answer", "append", "ack"} {
			for _, how := range []string{"resumed", "listed", "gone"} {
				for n := 1; n <= most; n++ {
					f := newForeign(t, 2)
					f.crash, f.calm, f.server.webhook, f.foreigner, f.maxDown = &crash{verb: verb, point: point, n: n}, true, "", false, 1
					f.writes = mortal{f.log, f}
					f.begin()
					f.everything(how)
					if len(f.wrong) == 0 {
						f.crashed(how)
					}
					if len(f.wrong) > 0 {
						t.Fatalf("%s %d, ended at %s, then %s: %v", verb, n, point, how, f.wrong)
					}
					if f.crash.at == 0 {
						break
					}
					ends[verb+" "+point]++
				}
				if ends[verb+" "+point] == 0 {
					t.Errorf("no process ends at %s %s", verb, point)
				}
			}
		}
	}
	t.Log(ends)
}

// crashed says what is wrong when all has come to rest.
func (f *foreign) crashed(how string) {
	if !f.fresh() {
		f.bad("the rollout does not go on: %+v", f.server.sets()[0].Status)
	}
	f.atRest()
	made := map[string]int{}
	for uid, by := range f.server.makers {
		for _, c := range f.server.changes {
			var p corev1.Pod
			if c.UID != uid || by != us || c.Decode(&p) != nil {
				continue
			}
			if mark := p.Annotations[daemonpod.CauseAnnotation]; strings.Contains(mark, ".") {
				made[mark]++
			}
			break
		}
	}
	for mark, n := range made {
		if n > 1 && how != "gone" {
			f.bad("command %s has made %d pods", mark, n)
		}
	}
	if n := len(f.state.UnderWay()); n > 0 {
		f.bad("%d commands have no answer", n)
	}
}
