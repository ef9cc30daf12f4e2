package replay

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
)

// Times of a cluster's own controller.
const (
	// slowest is how old what a DaemonSet controller decided may be when it is done:
	// one of its rounds is up to 250 calls, at 20 a second.
	slowest = 15 * time.Second
	// overdueAfter is after how long what is due and not done is missing, and that of
	// a pod which failed, whose backoff is longer.
	overdueAfter  = time.Minute
	failedOverdue = 16 * time.Minute
	// miscounted is how long a status may differ while nothing else changes.
	miscounted = 30 * time.Second
)

// task is what a DaemonSet calls for: a command, or a write of a revision.
type task struct {
	do     events.Verb
	reason events.Reason
	node   string
	uid    types.UID // of the pod; empty for one to make
	name   string    // of the revision, or of the pod that is there
}

// dueTask is a task that is due.
type dueTask struct {
	task
	since time.Time
	seq   events.Seq // of the event since which it is
	told  bool       // that it is missing
	past  time.Time  // when it was found to be overdue; zero: it is not
}

// shadowed is what rollcall would do for one DaemonSet.
type shadowed struct {
	at     time.Time // that it was decided for
	again  time.Time // when it is decided again if nothing happens; zero: never
	due    []dueTask
	recent []dueTask               // that were due until past, and neither done nor replaced by what was
	held   map[string]heldAt       // by node, of the rules that a cluster's own controller has not
	spec   int64                   // generation of the DaemonSet
	turned time.Time               // when that became what it is; zero: it was so from the beginning
	taken  map[types.UID]time.Time // when pods were adopted
	counts miscount
}

// heldAt is what held a node back, and when last.
type heldAt struct {
	by events.Held
	at time.Time
}

// ownRules are rules of rollcall's that a cluster's own controller has not.
var ownRules = []events.Held{events.HeldAltered, events.HeldCanary, events.HeldHold, events.HeldLoop, events.HeldPartition, events.HeldPaused, events.HeldPredecessor}

// miscount is by how much a status differs from what rollcall would write.
type miscount struct {
	says   string // empty: by nothing
	seq    events.Seq
	since  time.Time
	unseen bool      // a cluster's own controller has had no cause to count anew
	past   time.Time // as of a dueTask
	told   bool
}

// look has a status counted anew after an event that touches the DaemonSet. A cluster's own
// controller counts when a pod, a revision, a node or the DaemonSet is other than it was, and
// does not hear of a node that goes: its pod there, which is collected a minute later, tells it.
func (c *miscount) look(says string, m moment) {
	switch {
	case says != c.says:
		*c = miscount{says: says, seq: m.seq, since: m.time, unseen: m.kind == events.Node && m.gone}
	case c.unseen && m.kind != events.Node && m.kind != "":
		c.unseen, c.since = false, m.time
	}
}

// due decides what is due for a DaemonSet at the present position.
func (w *shadow) due(k events.Key) { w.dueAfter(k, moment{time: w.s.Time(), seq: w.at}, nil) }

// dueAfter is due after an event by which something was done; nil: by which nothing was.
// What a list told of late has used up what was due for it as well.
func (w *shadow) dueAfter(k events.Key, m moment, a *act) {
	if !watched(w.s.Charter()) {
		return
	}
	o := w.owners[k]
	if o == nil {
		o = &shadowed{}
		w.owners[k] = o
		i, _ := slices.BinarySearchFunc(w.keys, k, events.Key.Compare)
		w.keys = slices.Insert(w.keys, i, k)
	}
	if w.s.DaemonSet(k) != nil && w.wants(k) {
		w.seen[k] = true
	}
	if a != nil && (a.owner != k || a.Class == "" && !a.late) {
		a = nil
	}
	o.take(w.s, k, m, a)
}

// ruleNodeGone is why rollcall adopts and deletes nothing, or not yet, where a DaemonSet
// controller does: the pod is for a node that is not there.
const ruleNodeGone controller.Rule = "nodeGone"

// ruleGeneration is why rollcall counts a pod as old that a DaemonSet controller takes for
// new, or as new what that takes for old: it has the number of the template and is older
// than the DaemonSet, or a later number, which the log may be about to tell of.
const ruleGeneration controller.Rule = "generation"

// moment is a time after the event at a position.
type moment struct {
	time time.Time
	seq  events.Seq
	kind events.Kind // that the event is about; empty: only time has passed
	gone bool        // that is gone
}

// take takes over what is due at a moment. What the act that was done has used up is
// not due any more for anybody.
func (o *shadowed) take(s *projector.State, k events.Key, m moment, a *act) {
	at := m.time
	r := controller.Wish(s, k, at)
	was := o.due
	o.at, o.again, o.due = at, r.RequeueAt, nil
	for _, x := range r.Waiting {
		if slices.Contains(ownRules, x.For) {
			if o.held == nil {
				o.held = map[string]heldAt{}
			}
			o.held[x.Node] = heldAt{x.For, at}
		}
	}
	for _, t := range tasksOf(s, r) {
		d := dueTask{task: t, since: at, seq: m.seq}
		if i := slices.IndexFunc(was, func(x dueTask) bool { return x.task == t }); i >= 0 {
			d = was[i]
		}
		o.due = append(o.due, d)
	}
	if ds := s.DaemonSet(k); ds != nil && ds.Object.Generation != o.spec {
		if o.spec > 0 {
			o.turned = at
		}
		o.spec = ds.Object.Generation
	}
	o.recent = slices.DeleteFunc(o.recent, func(x dueTask) bool { return x.past.Add(slowest).Before(at) })
	for _, x := range was {
		if !slices.ContainsFunc(o.due, func(y dueTask) bool { return x.task == y.task }) && !(a != nil && a.spends(x.task)) {
			x.past = at
			o.recent = append(o.recent, x)
		}
	}
	o.counts.look(countsOf(s, k, r), m)
}

// tasksOf returns what a decision wants to be done.
func tasksOf(s *projector.State, r controller.Result) (ts []task) {
	if r.Plan != nil {
		for _, c := range r.Plan.Commands {
			t := task{do: c.Do, reason: c.Reason, node: c.Node}
			if c.Do != events.CreatePod {
				t.uid, t.name = c.UID, c.Key.Name
			}
			ts = append(ts, t)
		}
	}
	for _, x := range r.Writes {
		if x.Kind != events.ControllerRevision {
			continue
		}
		switch x.Verb {
		case events.VerbCreated:
			ts = append(ts, task{do: doMakeRevision})
		case events.VerbUpdated:
			ts = append(ts, task{do: doChangeRevision, name: x.Object.GetName()})
		case events.VerbDeleted:
			ts = append(ts, task{do: doDropRevision, name: x.Object.GetName()})
		}
	}
	return ts
}

// counters are those of a status, in the order in which they are told.
var counters = [...]struct {
	name string
	of   func(*appsv1.DaemonSetStatus) int64
}{
	{"observedGeneration", func(s *appsv1.DaemonSetStatus) int64 { return s.ObservedGeneration }},
	{"desiredNumberScheduled", func(s *appsv1.DaemonSetStatus) int64 { return int64(s.DesiredNumberScheduled) }},
	{"currentNumberScheduled", func(s *appsv1.DaemonSetStatus) int64 { return int64(s.CurrentNumberScheduled) }},
	{"numberMisscheduled", func(s *appsv1.DaemonSetStatus) int64 { return int64(s.NumberMisscheduled) }},
	{"numberReady", func(s *appsv1.DaemonSetStatus) int64 { return int64(s.NumberReady) }},
	{"updatedNumberScheduled", func(s *appsv1.DaemonSetStatus) int64 { return int64(s.UpdatedNumberScheduled) }},
	{"numberAvailable", func(s *appsv1.DaemonSetStatus) int64 { return int64(s.NumberAvailable) }},
	{"numberUnavailable", func(s *appsv1.DaemonSetStatus) int64 { return int64(s.NumberUnavailable) }},
}

// countsOf says in what the counters of a status differ; empty: in nothing.
func countsOf(s *projector.State, k events.Key, r controller.Result) string {
	ds := s.DaemonSet(k)
	if ds == nil || ds.Unknown != "" || r.Status == nil {
		return ""
	}
	want, ok := r.Status.Object.(*appsv1.DaemonSet)
	if !ok {
		return ""
	}
	var parts []string
	for _, c := range counters {
		if is, would := c.of(&ds.Object.Status), c.of(&want.Status); is != would {
			parts = append(parts, fmt.Sprintf("%s is %d, and rollcall counts %d", c.name, is, would))
		}
	}
	return strings.Join(parts, ", ")
}

// match says whether an act is one that rollcall would have done.
func (w *shadow) match(a *act) {
	if a.late {
		w.patient = a.Time
		return
	}
	o := w.owners[a.owner]
	if o == nil {
		return
	}
	now := w.now
	o.adopts(a, now)
	if a.ending && a.Do != events.CreatePod {
		// It goes with its DaemonSet, or by what was decided before: who did it will tell.
		a.stale = a.Do == events.DeletePod
		switch _, ok := a.oneOf(o.recent, now); {
		case ok:
			a.before, a.Class, a.By = a.Class, "", ""
		case o.adopted(a, now):
			a.before = Other
		case w.away(a.Node, now):
			a.Rule = ruleNodeGone
		}
		return
	}
	if _, ok := a.oneOf(o.due, now); ok {
		return
	}
	a.stale = a.Do == events.DeletePod && a.reason == ""
	if i, ok := a.oneOf(o.recent, now); ok {
		if a.spends(o.recent[i].task) {
			o.recent = slices.Delete(o.recent, i, i+1)
		}
		return
	}
	a.stale = false
	if o.adopted(a, now) && !o.turned.Add(slowest).Before(now) {
		a.Class, a.By, a.Due = Other, component, "what was wanted before"
		return
	}
	// A kubelet's clock tells seconds, and a watch comes later: what is due in a
	// moment the cluster may have found to be due already.
	soon := shadowed{}
	soon.take(w.s, a.owner, moment{time: now.Add(skew), seq: w.at}, nil)
	if _, ok := a.oneOf(soon.due, now); ok {
		return
	}
	if h := o.held[a.Node]; !h.at.Add(slowest).Before(now) {
		a.Rule = controller.Rule(h.by)
	}
	if w.away(a.Node, now) {
		a.Rule = ruleNodeGone
	}
	if a.Do == events.DeletePod && w.byNumber(a.owner, w.s.Pod(events.Key{Namespace: a.owner.Namespace, Name: strings.TrimPrefix(a.Object, "pod/")})) {
		a.Rule = ruleGeneration
	}
	if len(o.due) > 0 {
		a.Due = o.due[0].String()
	}
}

// away reports whether a node is not there, or was not when it may have been decided what is
// done: a controller may delete a pod for its node's sake when that is back.
func (w *shadow) away(node string, now time.Time) bool {
	return node != "" && (w.s.Node(node) == nil || !w.left[node].Add(slowest).Before(now))
}

// adopts remembers when a pod was adopted, if that is what was done.
func (o *shadowed) adopts(a *act, now time.Time) {
	if a.Do != events.AdoptPod {
		return
	}
	if o.taken == nil {
		o.taken = map[types.UID]time.Time{}
	}
	maps.DeleteFunc(o.taken, func(_ types.UID, at time.Time) bool { return at.Add(slowest).Before(now) })
	o.taken[a.uid] = now
}

// adopted reports whether an act deletes a pod that was adopted just now: a controller adopts
// and deletes in one round, for what was wanted at its beginning.
func (o *shadowed) adopted(a *act, now time.Time) bool {
	return a.Do == events.DeletePod && !o.taken[a.uid].Add(slowest).Before(now)
}

// oneOf takes the class of an act that is one of some tasks, or like one, and returns
// which.
func (a *act) oneOf(due []dueTask, now time.Time) (i int, ok bool) {
	a.Class = Agreed
	i = slices.IndexFunc(due, func(d dueTask) bool { return a.same(d.task) })
	if i < 0 {
		a.Class = Other
		i = slices.IndexFunc(due, func(d dueTask) bool { return a.alike(d.task) })
	}
	if i < 0 {
		a.Class = ""
		return i, false
	}
	a.By, a.Lead, a.reason, a.Due = component, max(0, now.Sub(due[i].since)), due[i].reason, string(due[i].reason)
	if a.Class == Other {
		a.Due, a.instead = due[i].String(), due[i].task
	}
	return i, true
}

// same reports whether a task is just what was done.
func (a *act) same(t task) bool {
	switch {
	case a.Do != t.do:
		return false
	case a.Do == events.CreatePod:
		return a.Node == t.node
	case a.Do == doMakeRevision:
		return true
	case t.uid == "":
		return a.Object == t.object()
	}
	return a.uid == t.uid
}

// spends reports whether an act has used up a task. One that is told of late was done when
// something else was due, so that it is known of no other task whether it was done instead;
// and that a pod is missing on one node is not mended on another.
func (a *act) spends(t task) bool {
	return a.Do == t.do && a.reason == t.reason && (a.same(t) || !a.late && a.reason != events.Missing)
}

// alike reports whether a task is for the same reason, within the same budget.
func (a *act) alike(t task) bool {
	if a.Do != t.do {
		return false
	}
	switch a.reason {
	case events.Rollout, events.Missing, events.Surge:
		return a.reason == t.reason
	case events.Duplicate, events.SurgeDone:
		return a.reason == t.reason && a.Node == t.node
	}
	return a.Do == doDropRevision || a.stale && (t.reason == events.Rollout || a.Node == t.node)
}

// object returns what a task is about; empty: something that is not there.
func (t task) object() string {
	switch {
	case t.name == "":
		return ""
	case t.uid == "":
		return "controllerrevision/" + t.name
	}
	return "pod/" + t.name
}

// String says what a task is to do.
func (t task) String() string {
	parts := []string{string(t.do)}
	if t.name != "" {
		parts = append(parts, t.name)
	}
	if t.node != "" {
		parts = append(parts, "on "+t.node)
	}
	if t.reason != "" {
		parts = append(parts, "("+string(t.reason)+")")
	}
	return strings.Join(parts, " ")
}
