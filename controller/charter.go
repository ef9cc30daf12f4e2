package controller

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
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

// ghosts returns the deleted DaemonSets of a name whose pods and revisions are to be
// looked after. Where the cluster collects there are none: that one is gone and its
// pods are not says only that pods are told of later.
func (d *decider) ghosts(key events.Key) []*sets.DaemonSet {
	if !d.s.Collects() {
		return nil
	}
	return d.s.DeletedSets(key)
}

// permits returns the charter by which commands are permitted.
func (d *decider) permits(c *events.Charter) *events.Charter {
	if !d.wish {
		return c
	}
	as := *c
	as.Mode = events.Control
	return &as
}

// inScope reports whether the DaemonSet is one that the charter is about.
func (d *decider) inScope() bool {
	c := d.s.Charter()
	return c == nil || c.Scope.Match()(d.ds.Key, d.ds.Object.Labels)
}

// rolling returns how old pods are replaced; nil: they are not. Where another
// controller makes the pods, its OnDelete is what lets this one replace them.
func (d *decider) rolling() *appsv1.RollingUpdateDaemonSet {
	u := &d.ds.Spec.UpdateStrategy
	switch {
	case d.mode() == events.Rollouts:
		if u.Type == appsv1.OnDeleteDaemonSetStrategyType && d.ds.Settings.Rollout != nil {
			return &appsv1.RollingUpdateDaemonSet{MaxUnavailable: d.ds.Settings.Rollout}
		}
		return nil
	case u.Type != appsv1.RollingUpdateDaemonSetStrategyType:
		return nil
	case u.RollingUpdate == nil:
		return &appsv1.RollingUpdateDaemonSet{}
	}
	return u.RollingUpdate
}

// notAsked says why old pods are not replaced where only those are that ask for it.
func (d *decider) notAsked() string {
	const key = events.AnnotationRollout
	bad := events.CheckAnnotations(events.DaemonSet, nil, map[string]string{key: d.ds.Object.Annotations[key]})
	if _, has := d.ds.Object.Annotations[key]; has && len(bad) > 0 {
		return "rollouts, and " + bad[0].String()
	}
	return "rollouts, of DaemonSets that are OnDelete and have " + key
}

// rolloutOnly replaces old pods and leaves all else to the cluster's own controller:
// pods, revisions and status.
func (d *decider) rolloutOnly() Result {
	switch {
	case d.rolling() == nil:
		d.block(nil, Blocker{Rule: RuleMode, Says: d.notAsked()})
		return d.finish()
	case d.ds.CurrentRevision() == nil:
		d.block(nil, Blocker{Rule: RuleRevision})
		return d.finish()
	}
	d.blockNodes()
	d.roll()
	d.whole = true
	return d.finish()
}

// holdSkew leaves a DaemonSet alone whose template has a field that this version does
// not know: pods would be made without it, and a change of it would not be seen.
func (d *decider) holdSkew() Result {
	d.holdMore(max(1, d.ds.Counts.Desired), events.HeldSkew)
	d.block(nil, Blocker{Rule: Rule(events.HeldSkew), Says: d.ds.Unknown})
	d.whole = true
	out := d.finish()
	if d.mode() == events.Control && !d.brief {
		d.status()
		out.Status = d.out.Status
	}
	return out
}

// holdUnrecorded leaves a DaemonSet alone of which the log does not have all as it is: it
// would be driven by what is not so any more. No status is written either, which would
// count what nobody knows.
func (d *decider) holdUnrecorded() Result {
	d.holdMore(max(1, d.ds.Counts.Desired), events.HeldUnrecorded)
	d.block(nil, Blocker{Rule: Rule(events.HeldUnrecorded), Says: d.ds.Missed[0].String()})
	d.whole = true
	return d.finish()
}

// guardCreates limits creates where pods come back altered, or are never ready and
// new, and reports whether it did: none for a while, and then one.
func (d *decider) guardCreates() bool {
	cur := d.ds.CurrentRevision()
	if cur == nil {
		return false
	}
	until, why := d.ds.AlteredUntil(cur.Hash), events.HeldAltered
	if loop := d.ds.LoopUntil(cur.Hash); loop.After(until) {
		until, why = loop, events.HeldLoop
	}
	if until.IsZero() {
		return false
	}
	d.creates, d.createsHeld = 1, why
	if d.now.Before(until) {
		d.creates, d.createsFrom = 0, until
	}
	return true
}

// stuck says why a rollout cannot go on in a real cluster, as a reason of a condition
// and in words; "": nothing keeps it.
func (d *decider) stuck() (reason, text string) {
	switch g := d.ds.Guard; {
	case d.waitsFor(events.HeldSkew) > 0:
		return "Skew", "template." + d.ds.Unknown + " is a field that this version does not know: nothing is done"
	case d.waitsFor(events.HeldAltered) > 0:
		return "Altered", "of the last pod that was made, " + g.Altered + " came back from the cluster as another: no more are made before " + d.ds.AlteredUntil(g.AlteredOf).UTC().Format(time.RFC3339)
	case d.waitsFor(events.HeldLoop) > 0:
		return "Loop", "pods are made and replaced again and again, and never new and ready: somebody else changes or deletes them"
	}
	return "", ""
}
