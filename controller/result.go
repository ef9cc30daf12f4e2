// Package controller decides what has to happen for a DaemonSet, and why.
//
// Reconcile is a function of a state and a time: the same two give the same
// bytes, so that every plan in a log can be decided again. Controller and
// GarbageCollector are the parties that do so when the log tells of a change, and
// append what they decide under a fence.
package controller

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Result is what a reconcile wants to be appended, and when it wants to be
// asked again.
type Result struct {
	Plan      *events.Plan // nil: no command is due, and the last plan says what holds the rollout
	Writes    []Write      // revisions, and DaemonSets whose deletion is complete
	Status    *Write       // nil: the status is as it should be
	Waiting   []events.Wait
	Held      []events.WaitCount
	RequeueAt time.Time // zero: not before something happens
}

// Write is one object that the controller itself says is now so, or gone.
type Write struct {
	Kind   events.Kind
	Verb   string
	Object metav1.Object // for a deletion its last state
	Last   events.Seq    // position of the object's last fact that this was decided from; 0: none
}

// decider works out the decision for one DaemonSet. Its passes, in the order of
// Reconcile, add commands, writes and what is held back.
type decider struct {
	s           *projector.State
	ds          *sets.DaemonSet
	now         time.Time
	out         Result
	cmds        []events.Command
	held        [len(heldOrder)]int // how many nodes wait, by cause
	creates     int                 // how many more pods the plan may create
	createsFrom time.Time           // when creates goes up again; zero: with an event
	createsHeld events.Held         // what limits creates
	rollout     events.Budget
	whole       bool                         // no pass was left out: held is complete
	due         []*sets.Cell                 // cells that became available since the last event, by the passing of time
	moved       []*sets.Cell                 // old cells that are in another set of work than at the last event, by the same, by age
	progress    time.Time                    // when the last cell of due on a desired node became available, or the last hold ended
	trace       *Trace                       // nil: nobody asks why
	wish        bool                         // the mode of the charter is passed over
	brief       bool                         // only calls and cells of commands are asked for: see Due
	survey      sets.Survey                  // of the cell at hand: reused, because there are thousands
	stated      [4]appsv1.DaemonSetCondition // room for the conditions of the status
}

// heldOrder is the order in which causes of waiting are listed.
var heldOrder = [...]events.Held{events.HeldAltered, events.HeldBackoff, events.HeldBudget, events.HeldCanary, events.HeldHold, events.HeldLimit, events.HeldLoop,
	events.HeldNamespace, events.HeldPartition, events.HeldPaused, events.HeldPending, events.HeldPredecessor, events.HeldSkew, events.HeldTerminating, events.HeldUnrecorded}

// requeueBy asks to be called again at t at the latest.
func (d *decider) requeueBy(t time.Time) {
	if d.out.RequeueAt.IsZero() || t.Before(d.out.RequeueAt) {
		d.out.RequeueAt = t
	}
}

func (d *decider) full() bool { return len(d.cmds) >= events.MaxCommands }

// hold notes that a node waits for something. All waiting nodes are counted, and
// the first few of each cause are named.
func (d *decider) hold(c *sets.Cell, why events.Held, until time.Time) {
	i := slices.Index(heldOrder[:], why)
	if d.held[i] < events.MaxWaits {
		if d.out.Waiting == nil {
			d.out.Waiting = make([]events.Wait, 0, events.MaxWaits)
		}
		d.out.Waiting = append(d.out.Waiting, events.Wait{Node: c.Node, For: why, Until: until})
	}
	d.held[i]++
	d.blockHeld(c, why, until)
}

// holdMore counts n more nodes that wait, without names.
func (d *decider) holdMore(n int, why events.Held) {
	if n > 0 {
		d.held[slices.Index(heldOrder[:], why)] += n
	}
}

// denied reports whether commands about p did nothing and p is as it was then,
// so that the next has to wait.
func (d *decider) denied(c *sets.Cell, p *sets.Pod) bool {
	until := deniedUntil(p)
	if !d.now.Before(until) {
		return false
	}
	d.hold(c, events.HeldBackoff, until)
	d.requeueBy(until)
	return true
}

func (d *decider) delete(c *sets.Cell, p *sets.Pod, why events.Reason) {
	if d.denied(c, p) {
		return
	}
	d.cmds = append(d.cmds, events.Command{Do: events.DeletePod, Ref: p.Ref(),
		Node: c.Node, NodeUID: c.NodeUID, Reason: why})
}

// finish makes the plan and lists what waits.
func (d *decider) finish() Result {
	if c := d.s.Charter(); c != nil {
		d.cmds = slices.DeleteFunc(d.cmds, func(cmd events.Command) bool { return !May(d.permits(c), cmd) })
	}
	slices.SortStableFunc(d.out.Waiting, func(a, b events.Wait) int { return strings.Compare(a.Node, b.Node) })
	if len(d.out.Waiting) > events.MaxWaits {
		d.out.Waiting = d.out.Waiting[:events.MaxWaits]
	}
	for i, n := range d.held {
		if n > 0 {
			d.out.Held = append(d.out.Held, events.WaitCount{For: heldOrder[i], Nodes: n})
		}
	}
	if len(d.cmds) > 0 || d.whole && !slices.Equal(d.lasting(), d.ds.Held) {
		p := &events.Plan{Owner: d.ds.Ref(),
			Basis: events.Basis{Seq: d.s.Seq(), Now: d.now}, Rollout: d.rollout,
			Commands: d.cmds, Waiting: events.PackWaits(d.out.Waiting), Held: d.out.Held}
		if cur := d.ds.CurrentRevision(); cur != nil {
			p.Revision = cur.Hash
		}
		d.out.Plan = p
	}
	return d.out
}

// lasting returns the causes of waiting that do not pass by themselves. A plan
// without commands is made when they change.
func (d *decider) lasting() []events.Held {
	var hs []events.Held
	for _, h := range d.out.Held {
		if h.For.Lasts() {
			hs = append(hs, h.For)
		}
	}
	return hs
}

func (d *decider) write(kind events.Kind, verb string, o metav1.Object, last events.Seq) {
	d.out.Writes = append(d.out.Writes, Write{kind, verb, o, last})
}

// controllerRef makes the DaemonSet the controller of what it owns (D03).
func controllerRef(ds *sets.DaemonSet) metav1.OwnerReference {
	return *metav1.NewControllerRef(ds.Object, appsv1.SchemeGroupVersion.WithKind(string(events.DaemonSet)))
}

// Source is the source of the events that a controller appends.
const Source = "controller"

// Entry returns the event that w is appended as, without an id: its fence is
// the object's last fact that w was decided from.
func (w Write) Entry(s events.Subjects) (events.Entry, error) {
	o, err := events.NewObject(w.Kind, w.Object)
	if err != nil {
		return events.Entry{}, err
	}
	e := events.Event{Type: events.ObjectType(w.Kind, w.Verb), Source: Source, Body: o}
	if w.Verb == events.VerbDeleted {
		e.Body = events.Gone(o)
	}
	return events.Entry{Event: e, Expect: events.Expect{Subject: s.Object(w.Kind, o.Key), Last: w.Last}}, nil
}

// PlanEntry returns the event that a plan is appended as, without an id: its
// fence is the last plan of its owner that the state knew.
func PlanEntry(p *events.Plan, s events.Subjects, last events.Seq) events.Entry {
	return events.Entry{Event: events.Event{Type: p.Type(), Source: Source, Body: p},
		Expect: events.Expect{Subject: s.Plan(p.Owner.Key), Last: last}}
}
