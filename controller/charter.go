package controller

import (
	"time"

	"rollcall/events"
	"rollcall/projector"
)

// May reports whether a charter lets a command be planned; nil lets all of them.
// What the cluster's own controllers do is theirs where rollcall does not collect.
func May(c *events.Charter, cmd events.Command) bool {
	switch {
	case c == nil:
		return true
	case c.Mode == events.Rollouts:
		return cmd.Do == events.DeletePod && cmd.Reason == events.Rollout
	case c.Mode != events.Control:
		return false
	case c.Collects:
		return true
	}
	switch cmd.Do {
	case events.DeleteObject, events.DisownObject, events.FinalizeObject:
		return false
	}
	return cmd.Reason != events.OwnerGone
}

// collectsGarbage reports whether what owners and nodes leave behind may be collected.
func collectsGarbage(s *projector.State) bool {
	return May(s.Charter(), events.Command{Do: events.DeleteObject})
}

// mode returns how much the charter lets be planned; Control without one.
func (d *decider) mode() events.Mode {
	if c := d.s.Charter(); c != nil && !d.wish {
		return c.Mode
	}
	return events.Control
}

// watch decides nothing, since the charter has the cluster only recorded. Whoever
// asks why is told that, and what else would hold nodes back.
func (d decider) watch(key events.Key) Result {
	if d.trace == nil {
		return Result{}
	}
	d.block(nil, Blocker{Rule: RuleMode, Says: string(d.mode())})
	d.wish = true
	return Result{RequeueAt: d.reconcile(key).RequeueAt}
}

// Wish is Reconcile as if the charter let everything be planned that it lets a
// controller plan: what would be decided of a cluster that is only recorded.
func Wish(s *projector.State, key events.Key, now time.Time) Result {
	return decider{s: s, now: now, wish: true}.reconcile(key)
}
