// Package controller decides what has to happen for a DaemonSet, and why.
//
// Reconcile is a function of a state and a time: the same two give the same
// bytes, so that every plan in a log can be decided again. Controller and
// Collector are the parties that do so when the log tells of a change, and
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

// decider collects the decision for one DaemonSet.
type decider struct {
	s           *projector.State
	d           *sets.DaemonSet
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
	stated      [4]appsv1.DaemonSetCondition // room for the conditions of the status
}

// heldOrder is the order in which causes of waiting are listed.
var heldOrder = [...]events.Held{events.HeldBackoff, events.HeldBudget, events.HeldCanary, events.HeldLimit,
	events.HeldNamespace, events.HeldPartition, events.HeldPaused, events.HeldPending, events.HeldPredecessor, events.HeldTerminating}

// requeueBy asks to be called again at t at the latest.
func (r *decider) requeueBy(t time.Time) {
	if r.out.RequeueAt.IsZero() || t.Before(r.out.RequeueAt) {
		r.out.RequeueAt = t
	}
}

func (r *decider) full() bool { return len(r.cmds) >= events.MaxCommands }

// hold notes that a node waits. Only the first few of each cause are named.
func (r *decider) hold(c *sets.Cell, why events.Held, until time.Time) {
	i := slices.Index(heldOrder[:], why)
	if r.held[i] < events.MaxWaits {
		r.out.Waiting = append(r.out.Waiting, events.Wait{Node: c.Node, For: why, Until: until})
	}
	r.held[i]++
}

// holdMore counts n more nodes that wait, without names.
func (r *decider) holdMore(n int, why events.Held) {
	if n > 0 {
		r.held[slices.Index(heldOrder[:], why)] += n
	}
}

// denied reports whether commands about p did nothing and p is as it was then,
// so that the next has to wait.
func (r *decider) denied(c *sets.Cell, p *sets.Pod) bool {
	until := deniedUntil(p)
	if !r.now.Before(until) {
		return false
	}
	r.hold(c, events.HeldBackoff, until)
	r.requeueBy(until)
	return true
}

func (r *decider) delete(c *sets.Cell, p *sets.Pod, why events.Reason) {
	if r.denied(c, p) {
		return
	}
	r.cmds = append(r.cmds, events.Command{Do: events.DeletePod, Ref: p.Ref(),
		Node: c.Node, NodeUID: c.NodeUID, Reason: why})
}

// finish makes the plan and lists what waits.
func (r *decider) finish() Result {
	slices.SortStableFunc(r.out.Waiting, func(a, b events.Wait) int { return strings.Compare(a.Node, b.Node) })
	if len(r.out.Waiting) > events.MaxWaits {
		r.out.Waiting = r.out.Waiting[:events.MaxWaits]
	}
	for i, n := range r.held {
		if n > 0 {
			r.out.Held = append(r.out.Held, events.WaitCount{For: heldOrder[i], Nodes: n})
		}
	}
	if len(r.cmds) > 0 || r.whole && !slices.Equal(r.lasting(), r.d.Held) {
		p := &events.Plan{Owner: r.d.Ref(),
			Basis: events.Basis{Seq: r.s.Seq(), Now: r.now}, Rollout: r.rollout,
			Commands: r.cmds, Waiting: events.PackWaits(r.out.Waiting), Held: r.out.Held}
		if cur := r.d.CurrentRevision(); cur != nil {
			p.Revision = cur.Hash
		}
		r.out.Plan = p
	}
	return r.out
}

// lasting returns what holds the rollout and does not pass by itself.
func (r *decider) lasting() []events.Held {
	var hs []events.Held
	for _, h := range r.out.Held {
		if h.For.Lasts() {
			hs = append(hs, h.For)
		}
	}
	return hs
}

func (r *decider) write(kind events.Kind, verb string, o metav1.Object, last events.Seq) {
	r.out.Writes = append(r.out.Writes, Write{kind, verb, o, last})
}

// controllerRef makes the DaemonSet the controller of what it owns (D03).
func controllerRef(d *sets.DaemonSet) metav1.OwnerReference {
	return *metav1.NewControllerRef(d.Object, appsv1.SchemeGroupVersion.WithKind(string(events.DaemonSet)))
}

// Source is the source of the events that a controller appends.
const Source = "controller"

// Event returns w as an event to append, without an id, and its fence.
func (w Write) Event(s events.Subjects) (events.Event, events.Expect, error) {
	ref := events.RefFor(w.Kind, w.Object)
	e := events.Event{Type: events.ObjectType(w.Kind, w.Verb), Source: Source}
	o, err := events.NewObject(w.Kind, w.Object)
	if err != nil {
		return events.Event{}, events.Expect{}, err
	}
	e.Body = o
	if w.Verb == events.VerbDeleted {
		e.Body = events.Gone(o)
	}
	return e, events.Expect{Subject: s.Object(w.Kind, ref.Key), Last: w.Last}, nil
}

// PlanEvent returns p as an event to append, without an id, and its fence:
// that the last plan of its owner is the one that the state knew.
func PlanEvent(p *events.Plan, s events.Subjects, last events.Seq) (events.Event, events.Expect) {
	e := events.Event{Type: p.Type(), Source: Source, Body: p}
	return e, events.Expect{Subject: s.Plan(p.Owner.Key), Last: last}
}
