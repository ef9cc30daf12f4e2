package controller

import (
	"slices"
	"time"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Reconcile decides what is due for the DaemonSet of that name, in the state s
// and at the time now, which counts as log time if that is later. A deleted
// DaemonSet whose pods are not all gone comes before one of the same name that
// was made since.
func Reconcile(s *projector.State, key events.Key, now time.Time) Result {
	return reconcile(s, key, now, nil)
}

// reconcile is Reconcile, and fills a trace unless it is nil.
func reconcile(s *projector.State, key events.Key, now time.Time, t *Trace) Result {
	return decider{s: s, now: now, trace: t}.reconcile(key)
}

// reconcile is Reconcile by a decider that knows no DaemonSet yet.
func (as decider) reconcile(key events.Key) Result {
	s, now, t := as.s, as.now, as.trace
	if s.Time().After(now) {
		now = s.Time()
	}
	now = now.UTC()
	if as.mode() == events.Shadow {
		return as.watch(key)
	}
	var writes []Write
	for _, old := range as.ghosts(key) {
		d := &decider{s: s, ds: old, now: now}
		out := d.cascade()
		writes = append(writes, out.Writes...)
		if out.Plan != nil {
			(&decider{trace: t}).block(nil, Blocker{Rule: Rule(events.HeldPredecessor)}) // its plan comes first
			out.Writes = writes
			return out
		}
	}
	ds := s.DaemonSet(key)
	d := &decider{s: s, ds: ds, now: now, trace: t, brief: as.brief, wish: as.wish}
	d.out.Writes = writes
	switch {
	case ds == nil:
		d.block(nil, Blocker{Rule: RuleNotThere})
		return d.out
	case ds.Deleting():
		d.block(nil, Blocker{Rule: RuleDeleted})
		if !s.Collects() {
			return d.out
		}
		return d.cascade()
	case ds.Selector == nil:
		d.block(nil, Blocker{Rule: RuleSelector})
		return d.finish() // selects every pod, or none: claims nothing (E15)
	case !d.inScope():
		d.block(nil, Blocker{Rule: RuleScope})
		return d.out
	}
	return d.decide()
}

// decide is reconcile of a DaemonSet that stands, and claims pods.
func (d *decider) decide() Result {
	ds := d.ds
	d.ripen()
	d.move()
	switch {
	case len(ds.Missed) > 0:
		return d.holdUnrecorded()
	case ds.Unknown != "":
		return d.holdSkew()
	case d.mode() == events.Rollouts:
		return d.rolloutOnly()
	}
	if !d.revise() {
		d.block(nil, Blocker{Rule: RuleRevision})
		return d.finish()
	}
	d.blockNodes()
	d.manage()
	if d.rolling() != nil {
		d.roll()
	} else {
		d.blockStrategy()
	}
	if d.brief {
		d.out.Plan = &events.Plan{Commands: d.cmds}
		return d.out
	}
	d.forget()
	d.status()
	d.whole = true
	return d.finish()
}

// ripen finds the cells whose pods became available since the last event, by the
// passing of minReadySeconds.
func (d *decider) ripen() {
	d.ds.Maturing(func(c *sets.Cell, from time.Time) bool {
		if from.After(d.now) {
			d.requeueBy(from)
			return false
		}
		d.due = append(d.due, c)
		if c.Place == sets.Run {
			d.progress = from
		}
		return true
	})
}

// available returns the number of desired nodes with an available pod, and of
// nodes that only keep theirs.
func (d *decider) available() (desired, spare int) {
	desired, spare = d.ds.Counts.Available, d.ds.Counts.Spare
	for _, c := range d.due {
		switch c.Place {
		case sets.Run:
			desired++
		case sets.Keep:
			spare++
		}
	}
	return desired, spare
}

// isAvailable reports whether a pod is available now.
func (d *decider) isAvailable(p *sets.Pod) bool {
	from := d.ds.AvailableFrom(p)
	return !from.IsZero() && !from.After(d.now)
}

// manage brings every node to the pods that it should have, whatever their revision.
func (d *decider) manage() {
	ds := d.ds
	d.limitCreates()
	d.release(events.NotSelected)
	d.each(sets.WorkAdopt, d.adopt)
	d.each(sets.WorkEvict, d.evict)
	d.each(sets.WorkTerminal, d.deleteTerminal)
	d.each(sets.WorkSurplus, d.thin)
	if ds.Surge {
		d.each(sets.WorkHandover, d.handOver)
	}
	d.each(sets.WorkMissing, d.fill)
	d.holdMore(ds.Counts.Waiting, events.HeldTerminating)
	d.holdMore(ds.Creating, events.HeldPending)
}

// release lets go of owned pods that the selector does not match any more.
func (d *decider) release(why events.Reason) {
	d.ds.Releasable(func(p *sets.Pod) bool {
		if until := deniedUntil(p); d.now.Before(until) {
			d.requeueBy(until)
			return true
		}
		d.cmds = append(d.cmds, events.Command{Do: events.ReleasePod, Ref: p.Ref(),
			Node: p.Node, NodeUID: p.NodeUID, Reason: why})
		return !d.full()
	})
}

// each visits the cells of a set of work until the plan is full. The rest is
// planned when the commands of this plan are in the log.
func (d *decider) each(w sets.Work, f func(*sets.Cell)) {
	seen := 0
	d.cells(w, func(c *sets.Cell) bool {
		if d.full() {
			d.holdMore(d.size(w)-seen, events.HeldLimit)
			d.blockRest(w, seen)
			return false
		}
		seen++
		f(c)
		return true
	})
}

func (d *decider) adopt(c *sets.Cell) {
	for _, p := range d.ds.Survey(c, &d.survey).Orphans {
		if d.denied(c, p) {
			continue
		}
		d.cmds = append(d.cmds, events.Command{Do: events.AdoptPod, Ref: p.Ref(),
			Node: c.Node, NodeUID: c.NodeUID, Reason: events.Selected})
	}
}

// deleteTerminal deletes pods that failed or succeeded, one a window of the cell's backoff.
func (d *decider) deleteTerminal(c *sets.Cell) {
	if until := BackoffUntil(c); d.now.Before(until) {
		d.hold(c, events.HeldBackoff, until)
		d.requeueBy(until)
		return
	}
	for _, p := range d.ds.Survey(c, &d.survey).Dead {
		if p.OwnerUID != d.ds.UID {
			continue
		}
		d.delete(c, p, terminalReason(p))
		return
	}
}

func terminalReason(p *sets.Pod) events.Reason {
	if p.Phase == "Succeeded" {
		return events.Succeeded
	}
	return events.FailedPod
}

// thin leaves one pod on a node: the first that is ready, else the first (F07,
// S11). Surging it leaves the first of each revision (F11).
func (d *decider) thin(c *sets.Cell) {
	s := d.ds.Survey(c, &d.survey)
	if d.ds.Surge {
		for _, side := range [2][]*sets.Pod{s.New, s.Old} {
			for i, p := range side {
				if i > 0 && p.OwnerUID == d.ds.UID {
					d.delete(c, p, events.Duplicate)
				}
			}
		}
		return
	}
	live := make([]*sets.Pod, 0, s.Live())
	for _, p := range c.Pods {
		if slices.Contains(s.New, p) || slices.Contains(s.Old, p) {
			live = append(live, p)
		}
	}
	keep := slices.IndexFunc(live, func(p *sets.Pod) bool { return !p.ReadySince.IsZero() })
	keep = max(keep, 0)
	for i, p := range live {
		if i != keep && p.OwnerUID == d.ds.UID {
			d.delete(c, p, events.Duplicate)
		}
	}
}

// handOver ends the old pod of a surging node once the new one is available,
// or the old one is of no use (F12).
func (d *decider) handOver(c *sets.Cell) {
	s := d.ds.Survey(c, &d.survey)
	if len(s.Old) == 0 || len(s.New) == 0 || s.Old[0].OwnerUID != d.ds.UID {
		return
	}
	switch from := d.ds.AvailableFrom(s.New[0]); {
	case s.Old[0].ReadySince.IsZero() || d.isAvailable(s.New[0]):
		d.delete(c, s.Old[0], events.SurgeDone)
		d.rollout.Surging--
	case from.IsZero():
		d.block(c, Blocker{Rule: RuleNotReady})
	default:
		d.requeueBy(from) // the cell is available through its old pod, so it does not mature
		d.block(c, Blocker{Rule: RuleMinReady, Until: from})
	}
}

// limitCreates says how many pods may be created by this plan: after a refusal
// none for a while, then one, then one more with each that worked; and no more
// than the DaemonSet's own rate.
func (d *decider) limitCreates() {
	ds := d.ds
	d.creates, d.createsHeld = events.MaxCommands, events.HeldLimit
	if d.guardCreates() {
		return
	}
	if until := refusedUntil(ds); d.now.Before(until) {
		d.creates, d.createsFrom = 0, until
		return
	}
	if ds.SlowStart > 0 {
		d.creates = max(0, ds.SlowStart-ds.Creating)
	}
	if rate := ds.Settings.Rate; rate > 0 {
		if next := ds.RateFrom.Add(time.Second); d.now.Before(next) {
			d.creates, d.createsFrom = min(d.creates, max(0, rate-ds.RateUsed)), next
		} else {
			d.creates = min(d.creates, rate)
		}
	}
}

func (d *decider) fill(c *sets.Cell) { d.create(c, events.Missing) }

// succeeded reports whether a deleted DaemonSet of the same name has no pod on
// the node and none under way to it.
func (d *decider) succeeded(c *sets.Cell) bool {
	for _, g := range d.s.DeletedSets(d.ds.Key) {
		if old := g.Cell(c.CellKey); old != nil && (len(old.Pods) > 0 || old.Creating()) {
			return false
		}
	}
	return true
}

// create plans a pod, unless the end of its namespace, a predecessor's pod, the
// cell's backoff or the limit on creates holds it back, and reports whether it
// did.
func (d *decider) create(c *sets.Cell, why events.Reason) bool {
	if d.s.Terminating(d.ds.Key.Namespace) {
		d.hold(c, events.HeldNamespace, time.Time{})
		return false
	}
	if !d.succeeded(c) {
		d.hold(c, events.HeldPredecessor, time.Time{})
		return false
	}
	if until := BackoffUntil(c); d.now.Before(until) {
		d.hold(c, events.HeldBackoff, until)
		d.requeueBy(until)
		return false
	}
	if d.creates == 0 {
		d.hold(c, d.createsHeld, d.createsFrom)
		if !d.createsFrom.IsZero() {
			d.requeueBy(d.createsFrom)
		}
		return false
	}
	d.creates--
	if d.brief {
		d.cmds = append(d.cmds, events.Command{Do: events.CreatePod, Node: c.Node, NodeUID: c.NodeUID, Reason: why})
		return true
	}
	hash := d.ds.CurrentRevision().Hash
	d.cmds = append(d.cmds, events.Command{Do: events.CreatePod,
		Ref: events.Ref{Kind: events.Pod, UID: daemonpod.UID(d.ds.UID, c.NodeUID, hash, c.Attempts),
			Key: events.Key{Namespace: d.ds.Key.Namespace, Name: daemonpod.Name(d.ds.Key.Name, d.ds.UID, c.NodeUID, hash, c.Attempts)}},
		Node: c.Node, NodeUID: c.NodeUID, Revision: hash, Attempt: c.Attempts, Reason: why})
	return true
}
