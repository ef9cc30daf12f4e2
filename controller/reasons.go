package controller

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/owners"
	"rollcall/projector/sets"
)

// Call is what something in a state calls for: a command without its time. The
// reason holds; a budget, a pause, a limit or a backoff may still hold the
// command back.
type Call struct {
	Do     events.Verb
	UID    types.UID // of the pod; empty for a pod to create
	Reason events.Reason
}

// CallOf returns the call that a command answers.
func CallOf(c events.Command) Call {
	if c.Do == events.CreatePod {
		return Call{Do: c.Do, Reason: c.Reason}
	}
	return Call{c.Do, c.UID, c.Reason}
}

// Due returns the commands that Reconcile would plan, with cell, verb and reason
// and the uid of a pod that is there, and until when it would be these if nothing
// happens; zero: for ever. What else Reconcile decides is left out, which is most
// of its work.
func Due(s *projector.State, key events.Key, now time.Time) ([]events.Command, time.Time) {
	if ds := s.DaemonSet(key); ds != nil && len(s.DeletedSets(key)) == 0 && idle(ds) {
		return nil, time.Time{}
	}
	r := decider{s: s, now: now, brief: true}.reconcile(key)
	if r.Plan == nil {
		return nil, r.RequeueAt
	}
	return r.Plan.Commands, r.RequeueAt
}

// idle reports whether no cell and no pod of a DaemonSet calls for a command, so that
// none is planned before something happens.
func idle(ds *sets.DaemonSet) bool {
	for w := sets.WorkMissing; w <= sets.OldKept; w++ {
		if w != sets.Unready && w != sets.Waiting && ds.Size(w) > 0 {
			return false
		}
	}
	none := true
	ds.Releasable(func(*sets.Pod) bool {
		none = false
		return false
	})
	return none
}

// Reasons finds what a state calls for. It runs the passes of Reconcile on one
// cell, at a time when nothing has to be waited for any more: so the facts alone
// decide, and a call begins and ends with an event. The zero Reasons is ready.
type Reasons struct{ d decider }

// noWaiting is later than any backoff or minReadySeconds of a log ends.
var noWaiting = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (r *Reasons) begin(s *projector.State, ds *sets.DaemonSet) *decider {
	d := &r.d
	d.s, d.ds, d.now, d.cmds, d.out = s, ds, noWaiting, d.cmds[:0], Result{}
	return d
}

// OfCell appends to calls what a cell calls for.
func (r *Reasons) OfCell(s *projector.State, c *sets.Cell, calls []Call) []Call {
	d := r.begin(s, c.Owner())
	switch {
	case d.ds.Orphaning():
	case d.ds.Deleting():
		if c.In(sets.WorkEvict) {
			d.evict(c)
		}
	case d.ds.Selector != nil:
		calls = d.callsOf(c, calls)
	}
	return d.permitted(calls)
}

// permitted appends what the charter permits of the commands at hand to calls, and
// takes what it does not off them.
func (d *decider) permitted(calls []Call) []Call {
	for _, cmd := range d.cmds {
		calls = append(calls, CallOf(cmd))
	}
	if c := d.s.Charter(); c != nil {
		calls = slices.DeleteFunc(calls, func(x Call) bool { return !May(c, events.Command{Do: x.Do, Reason: x.Reason}) })
	}
	return calls
}

// callsOf makes the commands of manage and roll for one cell. Creates are
// appended to calls: what would hold them back is no reason.
func (d *decider) callsOf(c *sets.Cell, calls []Call) []Call {
	for _, pass := range [...]struct {
		work sets.Work
		do   func(*sets.Cell)
	}{{sets.WorkAdopt, d.adopt}, {sets.WorkEvict, d.evict}, {sets.WorkTerminal, d.deleteAllTerminal}, {sets.WorkSurplus, d.thin}, {sets.WorkHandover, d.handOver}} {
		if c.In(pass.work) {
			pass.do(c)
		}
	}
	if c.In(sets.WorkMissing) {
		calls = append(calls, Call{Do: events.CreatePod, Reason: events.Missing})
	}
	switch {
	case d.rolling() == nil || !c.Old():
	case d.ds.Surge && c.OldAt(d.now) != sets.OldKept:
		calls = append(calls, Call{Do: events.CreatePod, Reason: events.Surge})
	default:
		d.deleteOld(c)
	}
	return calls
}

// deleteAllTerminal is deleteTerminal without the pause between two pods.
func (d *decider) deleteAllTerminal(c *sets.Cell) {
	for _, p := range d.ds.Survey(c, &d.survey).Dead {
		if p.OwnerUID == d.ds.UID {
			d.delete(c, p, terminalReason(p))
		}
	}
}

// OfReleases appends to calls which pods a DaemonSet is to let go of.
func (r *Reasons) OfReleases(s *projector.State, ds *sets.DaemonSet, calls []Call) []Call {
	d := r.begin(s, ds)
	switch {
	case ds.Deleting() && !s.Collects():
	case ds.Orphaning():
		d.release(events.OwnerGone)
	case !ds.Deleting():
		d.release(events.NotSelected)
	}
	return d.permitted(calls)
}

// OfRevisions returns the revisions that are to be written for a DaemonSet, and
// the DaemonSet itself if its deletion is complete.
func (r *Reasons) OfRevisions(s *projector.State, ds *sets.DaemonSet) []Write {
	d := r.begin(s, ds)
	switch {
	case ds.Deleting() && !s.Collects():
	case ds.Deleting():
		d.endCascade()
	case ds.Selector == nil:
	case d.revise():
		d.forget()
	}
	return d.out.Writes
}

// OfObject returns what garbage collection is called for by an object, whether
// or not a command about it is under way.
func OfObject(g *owners.Graph, o *owners.Object, r owners.Relation) (Call, bool) {
	if gcActionOn(&r) == gcNone {
		if !r.NodeUnknown {
			return Call{}, false
		}
		r.NodeAbsent = true // how long it is waited for is no reason
	}
	return CallOf(gcCommand(g, o, r)), true
}
