package replay

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
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
	spec   generation              // of the DaemonSet
	turned time.Time               // when that became what it is; zero: it was so from the beginning
	leapt  time.Time               // when it last did without the log telling of all before it
	taken  map[types.UID]time.Time // when pods were adopted
	counts miscount
}

// generation is which of its specs a DaemonSet has.
type generation struct {
	uid types.UID
	n   int64
}

// follows reports whether a cluster that tells of each state has none between two of these.
func (g generation) follows(was generation) bool {
	if g.uid != was.uid {
		return g.n <= 1
	}
	return g.n <= was.n+1
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
// controller counts when a pod, a revision or the DaemonSet is other than it was, and not
// after each change of a node.
func (c *miscount) look(says string, m moment, passedOver bool) {
	switch {
	case says != c.says:
		*c = miscount{says: says, seq: m.seq, since: m.time, unseen: passedOver}
	case c.unseen && m.of.Kind != "" && !passedOver:
		c.unseen, c.since = false, m.time
	}
}

// passesOver reports whether a cluster's own controller does not count for a DaemonSet what
// an event about a node has changed: it does not hear of a node that goes (its pod there,
// which is collected a minute later, tells it), and looks at one that comes or changes only
// where a pod is missing, has to go, or is and the status tells of any that should not be.
func passesOver(s *projector.State, k events.Key, m moment) bool {
	ds, n := s.DaemonSet(k), s.Node(m.of.Key.Name)
	if m.of.Kind != events.Node || m.gone || ds == nil || n == nil {
		return m.of.Kind == events.Node
	}
	c := ds.Cell(sets.CellKey{Node: m.of.Key.Name, NodeUID: n.UID})
	switch {
	case c == nil:
		return true
	case len(c.Pods) == 0:
		return c.Place != sets.Run
	}
	return c.Place != sets.Evict && ds.Object.Status.NumberMisscheduled == 0
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
	of   events.Ref // that the event is about; zero: only time has passed
	gone bool       // that is gone
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
	if ds := s.DaemonSet(k); ds != nil {
		o.turn(generation{ds.UID, ds.Object.Generation}, m)
	}
	o.recent = slices.DeleteFunc(o.recent, func(x dueTask) bool { return x.past.Add(slowest).Before(at) })
	for _, x := range was {
		if !slices.ContainsFunc(o.due, func(y dueTask) bool { return x.task == y.task }) && !(a != nil && a.spends(x.task)) {
			x.past = at
			o.recent = append(o.recent, x)
		}
	}
	o.counts.look(countsOf(s, k, r), m, passesOver(s, k, m))
}

// turn takes over which spec a DaemonSet has. One that a list tells of may have had others,
// that were rolled out and are not in the log.
func (o *shadowed) turn(g generation, m moment) {
	if g == o.spec {
		return
	}
	if m.of.Kind == events.DaemonSet && !g.follows(o.spec) {
		o.leapt = m.time
	}
	if o.spec.n > 0 {
		o.turned = m.time
	}
	o.spec = g
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
