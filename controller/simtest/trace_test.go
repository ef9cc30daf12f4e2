package simtest

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector"
)

var traces = flag.Int("traces", 10000, "how many states of histories TestTrace asks about")

// tracesOfHistory is how many states of one history are asked about.
const tracesOfHistory = 25

// TestTrace asks at random positions of histories what holds a random node
// back. A node of which the trace says nothing must be as the oracle wants it.
// Of a node that something holds back the blocker is taken away, by force, until
// the node gets a command: each time the rule that was named must be gone.
func TestTrace(t *testing.T) {
	rules := map[controller.Rule]int{}
	for n, seed := 0, uint64(1); n < *traces; seed++ {
		r := run(seed)
		if r.Violation != nil {
			t.Fatal(failure(r))
		}
		random := rand.New(rand.NewPCG(seed, 99))
		asked := positions(random, r.history.entries)
		s, b := projector.New(r.history.logID), newModel()
		for _, e := range r.history.entries {
			projector.Fold(s, e.read)
			b.take(e)
			if slices.Contains(asked, e.Seq) {
				n++
				x := &inquiry{t: t, h: r.history, r: random, s: s, b: b, now: s.Time(), rules: rules}
				x.ask()
			}
		}
	}
	t.Logf("rules that were taken away: %v", rules)
	for _, rule := range []controller.Rule{controller.RuleTaint, controller.RuleLabels, controller.RuleSuspended, controller.RuleOnDelete,
		controller.RuleMinReady, controller.RuleNotReady, "backoff", "budget", "canary", "hold", "limit", "partition", "paused", "pending", "predecessor", "terminating"} {
		if *traces >= 10000 && rules[rule] < 10 {
			t.Errorf("%s was met %d times", rule, rules[rule])
		}
	}
}

// positions picks positions of the eventful part.
func positions(r *rand.Rand, es []entry) (ps []events.Seq) {
	for range tracesOfHistory {
		ps = append(ps, es[r.IntN(min(len(es), maxRecords))].Seq)
	}
	return ps
}

// inquiry asks about one node in one state.
type inquiry struct {
	t     *testing.T
	h     *History
	r     *rand.Rand
	s     *projector.State
	b     *model
	now   time.Time
	set   *setModel
	node  string
	rules map[controller.Rule]int
	ids   uint64
}

func (x *inquiry) ask() {
	names := sortedKeys(x.b.named, events.Key.Compare)
	nodes := sortedKeys(x.b.nodes, strings.Compare)
	if len(names) == 0 || len(nodes) == 0 {
		return
	}
	x.set, x.node = x.b.named[names[x.r.IntN(len(names))]], nodes[x.r.IntN(len(nodes))]
	res, blockers := x.explain()
	switch {
	case x.commanded(res):
	case len(blockers) == 0:
		x.idle()
	default:
		x.holders(blockers)
		x.force()
	}
}

// explain returns the decision, and what holds the node back.
func (x *inquiry) explain() (res controller.Result, of []controller.Blocker) {
	res, trace := controller.Explain(x.s, x.set.key, x.now)
	if plain := controller.Reconcile(x.s, x.set.key, x.now); fmt.Sprint(plain.Plan) != fmt.Sprint(res.Plan) {
		x.fail("the trace changes what is decided: %v, %v", res.Plan, plain.Plan)
	}
	for _, b := range trace.Blockers {
		if b.Node == "" || b.Node == x.node {
			of = append(of, b)
		}
	}
	return res, of
}

func (x *inquiry) commanded(res controller.Result) bool {
	return res.Plan != nil && slices.ContainsFunc(res.Plan.Commands, func(c events.Command) bool { return c.Node == x.node })
}

func (x *inquiry) fail(format string, args ...any) {
	x.t.Helper()
	x.t.Fatalf("seed %d, #%d, %s on %s: %s", x.h.seed, x.b.seq, x.set.key.Name, x.node, fmt.Sprintf(format, args...))
}

// idle checks that the oracle wants nothing of a node that nothing holds back.
func (x *inquiry) idle() {
	for _, p := range x.b.situations(x.set) {
		if p.node != x.node || p.place == nowhere {
			continue
		}
		for _, c := range x.b.open {
			if c.set == x.set.UID && c.Node == x.node {
				return // it will be, when that is done
			}
		}
		if p.place != wanted || len(p.fresh) != 1 || len(p.old)+len(p.dead) > 0 {
			x.fail("nothing holds it back, though it is %s with %d new, %d old, %d dead pods", p.place, len(p.fresh), len(p.old), len(p.dead))
		}
	}
}

// holders checks who is said to use up the budget.
func (x *inquiry) holders(bs []controller.Blocker) {
	for _, b := range bs {
		if b.Rule != controller.Rule(events.HeldBudget) || surging(x.set.DaemonSet) {
			continue
		}
		var want []string
		for _, p := range x.b.situations(x.set) {
			if p.place == wanted && !x.set.anyAvailable(p.live(), x.now) {
				want = append(want, p.node)
			}
		}
		got := map[string]bool{}
		for _, h := range b.Holders {
			got[h.Node] = true
		}
		if len(want) != b.Used || len(got) != len(want) || slices.ContainsFunc(want, func(n string) bool { return !got[n] }) {
			x.fail("%v: %v are unavailable", b, want)
		}
	}
}

// force takes away what holds the node back, one rule after the other.
func (x *inquiry) force() {
	was := x.s
	x.s = projector.New(x.h.logID)
	for _, e := range x.h.entries[:was.Seq()] {
		projector.Fold(x.s, e.read)
	}
	for range 12 {
		res, blockers := x.explain()
		if x.commanded(res) || len(blockers) == 0 {
			return
		}
		b := blockers[x.r.IntN(len(blockers))]
		if b.Node == "" {
			x.everyNode(b, res)
			return
		}
		x.rules[b.Rule]++
		if b.Says == slowStart {
			x.slowStart(b, res)
			return
		}
		x.remove(b)
		if _, now := x.explain(); slices.ContainsFunc(now, func(c controller.Blocker) bool {
			return c.Rule == b.Rule && c.Says == b.Says && !c.Until.After(b.Until)
		}) {
			x.fail("%v was taken away, and still %v hold it back", b, now)
		}
	}
	x.fail("whatever is taken away, something holds it back")
}

// slowStart is what a limit says that goes up with every create that works.
const slowStart = "slow start after a refusal"

// slowStart checks that as many creates are under way as may be: the limit
// cannot be taken away.
func (x *inquiry) slowStart(b controller.Blocker, res controller.Result) {
	n := 0
	if res.Plan != nil {
		for _, c := range res.Plan.Commands {
			if c.Do == events.CreatePod {
				n++
			}
		}
	}
	if ds := x.s.DaemonSet(x.set.key); ds.SlowStart == 0 || n+ds.Creating < ds.SlowStart {
		x.fail("%v, though %d creates are under way, %d are planned, and %d may be", b, ds.Creating, n, ds.SlowStart)
	}
}

// everyNode checks what holds all nodes back.
func (x *inquiry) everyNode(b controller.Blocker, res controller.Result) {
	ok := false
	switch b.Rule {
	case controller.RuleDeleted:
		ok = x.set.deleting()
	case controller.Rule(events.HeldPredecessor):
		ok = res.Plan != nil && res.Plan.Owner.UID != x.set.UID
	case controller.RuleRevision:
		ok = len(x.b.current(x.set)) == 0 || len(res.Writes) > 0
	}
	if !ok {
		x.fail("%v", b)
	}
}

// remove makes what a blocker says untrue.
func (x *inquiry) remove(b controller.Blocker) {
	ds := x.s.DaemonSet(x.set.key).Object.DeepCopy()
	held := events.Held(b.Rule)
	switch {
	case held == events.HeldHold && x.r.IntN(2) == 0:
		id, _, _ := strings.Cut(b.Says, ":")
		x.ids++
		e := toldOf(int(1<<30+x.ids), x.h.now, events.HoldLifted, events.Lifted{Owner: holder, Name: strings.TrimPrefix(id, holder+"/")})
		x.take(e)
	case !b.Until.IsZero() && !strings.HasPrefix(b.Says, events.AnnotationRate):
		x.now = b.Until
	case b.Rule == controller.RuleTaint:
		n := x.object()
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool {
			return t.Key+":"+string(t.Effect) == b.Says
		})
		x.tell(events.Node, events.VerbUpdated, n, events.Cause{})
	case b.Rule == controller.RuleLabels:
		n := x.object()
		n.Labels = ds.Spec.Template.Spec.NodeSelector
		x.tell(events.Node, events.VerbUpdated, n, events.Cause{})
	case b.Rule == controller.RuleNotReady:
		x.makeReady()
	case held == events.HeldPending:
		x.answer(ds)
	case held == events.HeldTerminating, held == events.HeldPredecessor:
		x.end(b)
	default:
		x.configure(b, ds)
		x.tell(events.DaemonSet, events.VerbUpdated, ds, events.Cause{})
	}
}

// configure takes a setting off a DaemonSet.
func (x *inquiry) configure(b controller.Blocker, ds *appsv1.DaemonSet) {
	all := intstr.FromInt32(1000)
	none := intstr.FromInt32(0)
	u := &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &all, MaxSurge: &none}
	if surging(ds) && b.Rule != controller.RuleAvailable {
		u = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &none, MaxSurge: &all}
	}
	switch held := events.Held(b.Rule); {
	case held == events.HeldBudget, b.Rule == controller.RuleOnDelete, b.Rule == controller.RuleAvailable:
		ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: u}
	case held == events.HeldPaused:
		delete(ds.Annotations, events.AnnotationPaused)
	case held == events.HeldPartition:
		delete(ds.Annotations, events.AnnotationPartition)
	case held == events.HeldCanary:
		delete(ds.Annotations, events.AnnotationCanary)
	case held == events.HeldLimit:
		delete(ds.Annotations, events.AnnotationRate)
	case b.Rule == controller.RuleSuspended:
		delete(ds.Annotations, events.AnnotationSuspend)
	default:
		x.fail("%v: nobody knows how to take it away", b)
	}
}

func (x *inquiry) object() *corev1.Node {
	n := &corev1.Node{}
	if err := x.s.Node(x.node).Object.Decode(n); err != nil {
		x.fail("%v", err)
	}
	return n
}

// makeReady has every pod of the DaemonSet on the node become ready.
func (x *inquiry) makeReady() {
	for p := range x.s.Pods() {
		if p.Node != x.node || p.OwnerUID != x.set.UID || p.Deleting || !p.ReadySince.IsZero() {
			continue
		}
		pod := &corev1.Pod{}
		if err := p.Object.Decode(pod); err != nil {
			x.fail("%v", err)
		}
		setReady(pod, true, x.now)
		x.tell(events.Pod, events.VerbUpdated, pod, events.Cause{})
	}
}

// answer carries out the creates that are under way.
func (x *inquiry) answer(ds *appsv1.DaemonSet) {
	for _, c := range x.b.open {
		if c.Do == events.CreatePod && c.set == x.set.UID {
			x.tell(events.Pod, events.VerbCreated, daemonpod.New(ds, &ds.Spec.Template, c.Command, x.now), c.cause)
		}
	}
}

// end ends the pods that are waited for, and what would make more of them.
func (x *inquiry) end(b controller.Blocker) {
	for _, h := range b.Holders {
		x.fold(events.ObjectType(events.Pod, events.VerbDeleted), events.Gone{Ref: x.s.Pod(h.Pod).Ref()}, events.Cause{})
	}
	for _, c := range x.b.open {
		if c.Do == events.CreatePod && c.set != x.set.UID && c.Node == x.node {
			owner := x.b.sets[c.set]
			x.fold(events.Overtaken, events.Outcome{Owner: events.RefFor(events.DaemonSet, owner.DaemonSet), Command: c.Command, Reason: "OwnerGone"}, c.cause)
		}
	}
}

func (x *inquiry) tell(k events.Kind, verb string, o metav1.Object, cause events.Cause) {
	x.fold(events.ObjectType(k, verb), object(k, o), cause)
}

// fold folds what no log tells. No time passes.
func (x *inquiry) fold(t events.Type, body events.Body, cause events.Cause) {
	x.ids++
	e := events.Event{Type: t, Source: "test", Cause: cause, Body: body, At: x.h.now}
	binary.BigEndian.PutUint64(e.ID[8:], 1<<62+x.ids) // unlike any of the history
	x.take(e)
}

func (x *inquiry) take(e events.Event) {
	raw, err := events.Encode(e)
	if err != nil {
		x.fail("%v", err)
	}
	e = events.Decode(raw)
	e.Seq, e.Stored = x.s.Seq()+1, x.h.entries[len(x.h.entries)-1].read.Stored
	if un, bad := projector.Fold(x.s, e).Body.(events.Unreadable); bad {
		x.fail("%s: %v", e.Type, un)
	}
}
