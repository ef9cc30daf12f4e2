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
	Plan      *events.Plan // nil: no command is due, and what holds the rollout is what the last one said
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

// decider works out the decision for one DaemonSet.
type decider struct {
	s           *projector.State
	ds          *sets.DaemonSet
	now         time.Time
	out         Result
	cmds        []events.Command
	held        [len(heldOrder)]int
	creates     int       // how many more creates may be planned
	createsFrom time.Time // when more may be; zero: when something happens
	rollout     events.Budget
	whole       bool         // all passes were made: what is held is all that is
	due         []*sets.Cell // available by now, though no event has told so since
	progress    time.Time    // when the last of them on a desired node became so
	survey      sets.Survey
}

// heldOrder is the order in which causes of waiting are listed.
var heldOrder = [...]events.Held{events.HeldBackoff, events.HeldBudget, events.HeldCanary, events.HeldLimit,
	events.HeldNamespace, events.HeldPartition, events.HeldPaused, events.HeldPending, events.HeldPredecessor, events.HeldTerminating}

// requeueBy asks to be called again at t at the latest.
func (d *decider) requeueBy(t time.Time) {
	if d.out.RequeueAt.IsZero() || t.Before(d.out.RequeueAt) {
		d.out.RequeueAt = t
	}
}

func (d *decider) full() bool { return len(d.cmds) >= events.MaxCommands }

// hold notes that a node waits. Only the first few of each cause are named.
func (d *decider) hold(c *sets.Cell, why events.Held, until time.Time) {
	i := slices.Index(heldOrder[:], why)
	if d.held[i] < events.MaxWaits {
		d.out.Waiting = append(d.out.Waiting, events.Wait{Node: c.Node, For: why, Until: until})
	}
	d.held[i]++
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
			Commands: d.cmds, Waiting: d.out.Waiting, Held: d.out.Held}
		if cur := d.ds.CurrentRevision(); cur != nil {
			p.Revision = cur.Hash
		}
		d.out.Plan = p
	}
	return d.out
}

// lasting returns what holds the rollout and does not pass by itself.
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
