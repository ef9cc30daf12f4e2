package simtest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
)

var shadowHistories = flag.Int("shadow-histories", 150, "histories of TestShadow")

// shadowFound are histories of which something was told that is no divergence.
var shadowFound = []uint64{100, 118, 712, 791, 1010, 1112, 1194, 1295, 1380, 500982, 501022, 501082, 501336, 560421, 740675, 760428, 760498, 1050344, 1100319, 1170394, 1190146, 1350614, 1540008, 1570434, 1670690}

// manager is the cluster's own DaemonSet controller, as its objects name it.
const manager = "kube-controller-manager"

// fault is what a DaemonSet controller does wrong.
type fault string

// own is the DaemonSet controller of a cluster that is recorded: it decides from what
// is so, in no order of nodes, and does what it decided a while later.
type own struct {
	*foreign
	rng   *rand.Rand
	fault fault
	todo  []func()
	notes []events.Entry // that are told when due
	names int
}

// told is when a note is told at the latest, after what it is about.
const told = time.Second

func newOwn(t *testing.T, seed uint64, wrong fault) *own {
	f := newForeign(t, seed)
	f.parties, f.server.webhook, f.foreigner = nil, "", false
	return &own{foreign: f, rng: rand.New(rand.NewPCG(seed, 30)), fault: wrong}
}

// run has the world go on, and returns the comparison of its record.
func (k *own) run(t *testing.T) *replay.Diverged {
	t.Helper()
	for i := range 3 + k.foreign.rng.IntN(3) {
		k.server.addNode(fmt.Sprintf("n%d", i))
	}
	if _, err := k.log.Append(t.Context(), events.Entry{Event: events.Event{ID: k.id(), Type: events.Chartered, Source: events.SourceKube,
		Body: events.Charter{Cluster: "ks", Version: "v1.36.3", Mode: events.Shadow, Budget: events.BudgetUpstream}}}); err != nil {
		t.Fatal(err)
	}
	k.makeSet("agent")
	k.ownController("agent")
	for i := range 800 {
		if k.calm = i > 400; !k.calm {
			k.users()
		} else if nodes := k.server.keys(events.Node); i%40 == 0 && len(nodes) > 0 { // time passes in a log only with events
			o, _ := k.server.typed(events.Node, nodes[0])
			o.SetAnnotations(map[string]string{"seen": k.server.now.String()})
			k.server.put(events.Node, o, "kubelet")
		}
		k.step()
	}
	if len(k.wrong) > 0 {
		t.Fatalf("seed %d: %v", k.seed, k.wrong)
	}
	h, err := replay.Open(t.Context(), k.log, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := h.Diverge(t.Context(), replay.ShadowQuery{All: true}, 1, replay.Moment{Point: replay.Point{Seq: h.Span().Last, Time: h.Span().To}}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	k.counts(t, h)
	return d
}

func (k *own) step() {
	k.server.now = k.server.now.Add(tick)
	k.server.act()
	k.act()
	for _, b := range k.bridges {
		for _, kind := range foreignKinds {
			b.hear(kind)
		}
	}
	for len(k.notes) > 0 && k.notes[0].Event.At.Before(k.server.now) {
		if _, err := k.log.Append(context.Background(), k.notes[0]); err != nil {
			panic(err)
		}
		k.notes = k.notes[1:]
	}
	k.observe()
}

// act does some of what was decided, and decides anew when all is done.
func (k *own) act() {
	for range 1 + k.rng.IntN(3) {
		if len(k.todo) == 0 {
			break
		}
		k.todo[0]()
		k.todo = k.todo[1:]
	}
	if len(k.todo) > 0 || k.rng.IntN(2) == 0 || k.fault == "idle" && len(k.server.changes) > 60 {
		return
	}
	for _, ds := range k.server.sets() {
		if ds.DeletionTimestamp == nil {
			k.decide(ds)
		}
	}
}

func (k *own) later(do func()) { k.todo = append(k.todo, do) }

// decide is one round for a DaemonSet.
func (k *own) decide(ds *appsv1.DaemonSet) {
	hash := k.revise(ds)
	nodes := k.server.keys(events.Node)
	k.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	on := k.pods(ds)
	for _, n := range nodes {
		live := slices.DeleteFunc(slices.Clone(on[n.Name]), func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
		switch {
		case len(on[n.Name]) == 0:
			k.later(func() { k.create(ds, hash, n.Name) })
		case len(live) > 1:
			for _, p := range live[1:] {
				k.later(func() { k.delete(ds, p) })
			}
		case k.fault == "whim" && k.calm && len(live) == 1 && k.rng.IntN(40) == 0:
			k.later(func() { k.delete(ds, live[0]) })
		}
	}
	for _, p := range k.server.pods() { // for a node that is gone, and that nobody has bound
		if ownedBy(p) == ds.UID && p.Spec.NodeName == "" && p.DeletionTimestamp == nil && !k.server.node(pinOf(p)) {
			k.later(func() { k.delete(ds, p) })
		}
	}
	k.roll(ds, hash, nodes, on)
	k.count(ds, hash, nodes, on)
}

// pods returns the pods of a DaemonSet by node, the oldest first, and adopts those that
// it would.
func (k *own) pods(ds *appsv1.DaemonSet) map[string][]*corev1.Pod {
	on := map[string][]*corev1.Pod{}
	for _, p := range k.server.pods() {
		switch o := ownedBy(p); {
		case o == ds.UID:
			on[pinOf(p)] = append(on[pinOf(p)], p)
		case o == "" && p.DeletionTimestamp == nil && p.Labels["app"] == ds.Name:
			k.later(func() {
				if o, is := k.server.typed(events.Pod, keyOf(p)); is && o.GetUID() == p.UID && o.GetResourceVersion() == p.ResourceVersion {
					o.SetOwnerReferences([]metav1.OwnerReference{daemonpod.ControllerRef(ds)})
					k.server.put(events.Pod, o, manager)
				}
			})
			on[pinOf(p)] = append(on[pinOf(p)], p)
		}
	}
	for _, ps := range on {
		slices.SortFunc(ps, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	}
	return on
}

// revise has the present template have a revision with the highest number, and returns
// its hash.
func (k *own) revise(ds *appsv1.DaemonSet) string {
	data, err := daemonpod.RevisionData(&ds.Spec.Template)
	if err != nil {
		panic(err)
	}
	highest := int64(0)
	var cur *appsv1.ControllerRevision
	for _, key := range k.server.keys(events.ControllerRevision) {
		o, _ := k.server.typed(events.ControllerRevision, key)
		rev := o.(*appsv1.ControllerRevision)
		switch o := ownedBy(rev); {
		case o == "" && rev.Labels["app"] == ds.Name:
			rev.OwnerReferences = []metav1.OwnerReference{daemonpod.ControllerRef(ds)}
			k.server.put(events.ControllerRevision, rev, manager)
		case o != ds.UID:
			continue
		}
		highest = max(highest, rev.Revision)
		if string(rev.Data.Raw) == string(data) {
			cur = rev
		}
	}
	switch {
	case cur == nil:
		k.names++
		hash := fmt.Sprintf("h%d", k.names)
		cur = &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: ds.Name + "-" + hash, UID: k.server.uid(), CreationTimestamp: metav1.NewTime(k.server.now.Truncate(time.Second)),
			Labels: map[string]string{"app": ds.Name, daemonpod.RevisionLabel: hash}, OwnerReferences: []metav1.OwnerReference{daemonpod.ControllerRef(ds)}}, Revision: highest + 1}
		cur.Data.Raw = data
		k.server.put(events.ControllerRevision, cur, manager)
	case cur.Revision < highest:
		cur.Revision = highest + 1
		k.server.put(events.ControllerRevision, cur, manager)
	}
	return cur.Labels[daemonpod.RevisionLabel]
}

func updated(ds *appsv1.DaemonSet, hash string, p *corev1.Pod) bool {
	return p.Labels[daemonpod.RevisionLabel] == hash || p.Labels[daemonpod.GenerationLabel] == ds.Annotations[daemonpod.GenerationAnnotation]
}

// roll deletes old pods as Kubernetes' controller does: those that are not ready at
// once, others within the budget.
func (k *own) roll(ds *appsv1.DaemonSet, hash string, nodes []events.Key, on map[string][]*corev1.Pod) {
	budget := k.maxDown
	if k.fault == "greedy" {
		budget += 2
	}
	var free, candidates []*corev1.Pod
	for _, n := range nodes {
		var fresh, old []*corev1.Pod
		for _, p := range on[n.Name] {
			switch {
			case p.DeletionTimestamp != nil:
			case updated(ds, hash, p):
				fresh = append(fresh, p)
			default:
				old = append(old, p)
			}
		}
		switch {
		case len(fresh)+len(old) != 1:
			budget--
		case len(fresh) == 1:
			if !readyPod(fresh[0]) {
				budget--
			}
		case !readyPod(old[0]):
			free = append(free, old[0])
			budget--
		default:
			candidates = append(candidates, old[0])
		}
	}
	for _, p := range append(free, candidates[:max(0, min(budget, len(candidates)))]...) {
		k.later(func() { k.delete(ds, p) })
	}
}

// count writes the status.
func (k *own) count(ds *appsv1.DaemonSet, hash string, nodes []events.Key, on map[string][]*corev1.Pod) {
	is := appsv1.DaemonSetStatus{ObservedGeneration: ds.Generation, DesiredNumberScheduled: int32(len(nodes))}
	for _, n := range nodes {
		if len(on[n.Name]) == 0 {
			continue
		}
		is.CurrentNumberScheduled++
		p := on[n.Name][0]
		if readyPod(p) {
			is.NumberReady++
			is.NumberAvailable++
		}
		if updated(ds, hash, p) {
			is.UpdatedNumberScheduled++
		}
	}
	is.NumberUnavailable = is.DesiredNumberScheduled - is.NumberAvailable
	if k.fault == "miscount" {
		is.NumberReady++
	}
	o, _ := k.server.typed(events.DaemonSet, keyOf(ds))
	if now := o.(*appsv1.DaemonSet); fmt.Sprint(now.Status) != fmt.Sprint(is) {
		now.Status = is
		k.server.put(events.DaemonSet, now, manager)
	}
}

func (k *own) create(ds *appsv1.DaemonSet, hash, node string) {
	k.names++
	c := events.Command{Ref: events.Ref{Key: events.Key{Namespace: "x", Name: fmt.Sprintf("%s-%d", ds.Name, k.names)}}, Node: node, Revision: hash}
	p := daemonpod.New(ds, &ds.Spec.Template, c, k.server.now)
	p.Status = corev1.PodStatus{Phase: corev1.PodPending}
	k.server.createPod(p, manager)
	k.tells(ds, "SuccessfulCreate", "Created pod: "+p.Name)
}

func (k *own) delete(ds *appsv1.DaemonSet, p *corev1.Pod) {
	if o, is := k.server.typed(events.Pod, keyOf(p)); is && o.GetUID() == p.UID && o.GetDeletionTimestamp() == nil {
		k.server.deletePod(keyOf(p), manager)
		k.tells(ds, "SuccessfulDelete", "Deleted pod: "+p.Name)
	}
}

// tells reports an Event, which is heard of a while later.
func (k *own) tells(ds *appsv1.DaemonSet, reason, message string) {
	at := k.server.now.Add(time.Duration(k.rng.Int64N(int64(told))))
	if n := len(k.notes); n > 0 && k.notes[n-1].Event.At.After(at) {
		at = k.notes[n-1].Event.At
	}
	data, err := wire.Marshal(events.KubeEvent{Type: "Normal", Reason: reason, Message: message, Component: "daemonset-controller", Count: 1})
	if err != nil {
		panic(err)
	}
	k.note(events.NoteKubeEvent, data, at, events.Ref{Kind: events.DaemonSet, Key: keyOf(ds), UID: ds.UID})
}

func (k *own) note(typ string, data []byte, at time.Time, about ...events.Ref) {
	k.names++
	e := events.Event{Type: events.NoteTold, Source: events.SourceKube, At: at, Body: events.Note{Objects: about},
		Told: &events.Told{Source: events.SourceKube, ID: fmt.Sprint("note-", k.names), Type: typ, Data: data}}
	e.ID = events.ToldID(e.Told.Source, e.Told.From, e.Told.ID)
	k.notes = append(k.notes, events.Entry{Event: e})
}

// TestShadow: of a cluster whose DaemonSet controller does what Kubernetes' does, the
// comparison finds nothing, whatever others do and however the watches are behind: what
// rollcall would not have done is held by a rule of its own, which is said.
func TestShadow(t *testing.T) {
	sum := map[replay.Class]int{}
	by := map[string]int{}
	seeds := slices.Clone(shadowFound)
	for seed := *first; seed < *first+uint64(*shadowHistories); seed++ {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		d := newOwn(t, seed, "").run(t)
		for _, a := range d.All {
			sum[a.Class]++
			if a.Class == replay.Foreign {
				by[a.By]++
			}
		}
		for _, a := range d.Divergences {
			if a.Rule != controller.Rule(events.HeldPredecessor) && a.Rule != "nodeGone" && a.Rule != "generation" {
				t.Errorf("seed %d: %+v\n(go test ./controller/simtest -run 'TestShadow$' -first %d -shadow-histories 1)", seed, a, seed)
			}
		}
	}
	t.Logf("%d histories: %v, foreign %v", len(seeds), sum, by)
	for _, c := range []replay.Class{replay.Agreed, replay.Other, replay.Foreign, replay.Unseen} {
		if sum[c] < *shadowHistories {
			t.Errorf("only %d acts are %s", sum[c], c)
		}
	}
}

// TestShadowFaults: what a DaemonSet controller does wrong is found, as what it is.
func TestShadowFaults(t *testing.T) {
	for wrong, want := range map[fault]replay.Class{"greedy": replay.Extra, "whim": replay.Extra, "idle": replay.Undone, "miscount": replay.Counted} {
		found, histories := 0, *first+20
		for seed := *first; seed < histories; seed++ {
			d := newOwn(t, seed, wrong).run(t)
			if slices.ContainsFunc(d.Divergences, func(a replay.Act) bool { return a.Class == want && a.Rule == "" }) {
				found++
			}
		}
		t.Logf("%s: found in %d of 20 histories", wrong, found)
		if found < 3 {
			t.Errorf("%s: found in %d of 20 histories only", wrong, found)
		}
	}
}
