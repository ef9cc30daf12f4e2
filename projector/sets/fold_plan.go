package sets

import (
	"slices"
	"time"

	"rollcall/events"
)

// foldPlan makes the commands pending.
func (s *Sets) foldPlan(p *events.Plan) {
	s.plans[p.Owner.Key] = s.seq
	if p.Owner == (events.Ref{}) {
		s.owners.Plan(s.seq, p.Commands)
		return
	}
	d := s.byUID[p.Owner.UID]
	if d == nil {
		return
	}
	failed := map[*Cell]bool{}
	creates := 0
	for i, c := range p.Commands {
		if c.Reason == events.Rollout {
			c.Revision = p.Revision
		}
		cell := s.pend(d, events.Cause{Seq: s.seq, Index: i}, c)
		switch {
		case c.Do == events.CreatePod:
			cell.Attempts = max(cell.Attempts, c.Attempt+1)
			creates++
			d.makes(cell, c.Revision, p.Basis.Now)
		case c.Reason == events.Rollout:
			d.rolls(cell, p)
		case cell != nil && (c.Reason == events.FailedPod || c.Reason == events.Succeeded) && !failed[cell]:
			failed[cell] = true
			cell.fail(p.Basis.Now)
		}
	}
	d.Held = d.Held[:0]
	for _, h := range p.Held {
		if h.For.Lasts() {
			d.Held = append(d.Held, h.For)
		}
	}
	if p.Basis.Now.Sub(d.RateFrom) >= time.Second {
		d.RateFrom, d.RateUsed = p.Basis.Now, 0
	}
	d.RateUsed += creates
	s.mark(d)
}

// pend makes a command pending and returns its cell; the release of a pod has none.
func (s *Sets) pend(d *DaemonSet, cause events.Cause, c events.Command) *Cell {
	d.pending++
	if c.Do == events.ReleasePod {
		d.releasing[c.UID] = cause
		s.pending[cause] = pendingRef{ds: d, do: c.Do, pod: c.Key.Name, uid: c.UID}
		return nil
	}
	cell := s.cellAt(d, CellKey{c.Node, c.NodeUID})
	cell.Pending = append(cell.Pending, Pending{cause, c.Do, c.UID, c.Revision})
	s.pending[cause] = pendingRef{d, cell, c.Do, c.Key.Name, c.UID, c.Revision}
	if c.Do == events.CreatePod {
		d.Creating++
		d.promised[c.Revision]++
	}
	s.recount(cell)
	return cell
}

// forgetAfter is how long after the last failure earlier ones are forgotten (G07).
const forgetAfter = 30 * time.Minute

// fail counts one more failure at a time.
func (c *Cell) fail(at time.Time) {
	if at.Sub(c.FailedAt) > forgetAfter {
		c.Failures = 0
	}
	c.Failures++
	c.FailedAt = at
}

// foldOutcome counts a create that came to nothing as a failure of its cell: it
// would come to nothing again. One that was refused also begins a slow start of
// all creates.
func (s *Sets) foldOutcome(e events.Event) {
	ref, ok := s.pending[e.Cause]
	if !ok || ref.do != events.CreatePod {
		return
	}
	ref.cell.fail(s.now)
	if e.Type != events.Failed {
		return
	}
	d := ref.ds
	d.SlowStart = 1
	if e.Cause.Seq > d.refused { // one plan is one try, however many of its creates were refused
		d.Refusals++
	}
	d.refused, d.RefusedAt = s.plans[d.Key], s.now
}

// denied notes that a command did nothing. For a create that is a failure of
// the cell, which foldOutcome counts if it was told; another command about a
// pod that is as it was would do nothing again, so the pod is left alone for a
// while.
func (s *Sets) denied(ref pendingRef, e events.Event) {
	switch e.Body.(type) {
	case events.Outcome:
		if ref.do == events.DeletePod {
			ref.cell.spares(ref.revision)
		}
	case events.Unreadable:
		if ref.do == events.CreatePod {
			ref.cell.fail(s.now)
		}
	default:
		return
	}
	if p := s.pods[events.Key{Namespace: ref.ds.Key.Namespace, Name: ref.pod}]; p != nil && p.UID == ref.uid && ref.do != events.CreatePod {
		p.Denials++
		p.DeniedAt = s.now
	}
}

// settle ends a pending command: a fact or an outcome answered it.
func (s *Sets) settle(cause events.Cause, e events.Event) {
	ref, ok := s.pending[cause]
	if !ok {
		s.owners.Settle(cause, e.Type == events.Failed)
		return
	}
	delete(s.pending, cause)
	d := ref.ds
	d.pending--
	s.denied(ref, e)
	if ref.do == events.ReleasePod {
		delete(d.releasing, ref.uid)
		s.mark(d)
		s.forgetSet(d)
		return
	}
	ref.cell.Pending = slices.DeleteFunc(ref.cell.Pending, func(p Pending) bool { return p.Cause == cause })
	if ref.do == events.CreatePod {
		d.Creating--
		if d.promised[ref.revision]--; d.promised[ref.revision] == 0 {
			delete(d.promised, ref.revision)
		}
		// One more for each that worked doubles with each round. Creates that
		// were planned before the last refusal say nothing.
		if _, made := e.Body.(events.Object); made && d.SlowStart > 0 && cause.Seq > d.refused {
			d.Refusals = 0
			if d.SlowStart++; d.SlowStart >= events.MaxCommands {
				d.SlowStart = 0
			}
		}
	}
	s.recount(ref.cell)
	s.forgetSet(d)
}
