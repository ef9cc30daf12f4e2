package controller

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"

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
	if s.Time().After(now) {
		now = s.Time()
	}
	now = now.UTC()
	var writes []Write
	for _, g := range s.DeletedSets(key) {
		r := &decider{s: s, d: g, now: now}
		out := r.collect()
		writes = append(writes, out.Writes...)
		if out.Plan != nil {
			out.Writes = writes
			return out
		}
	}
	d := s.DaemonSet(key)
	if d == nil {
		return Result{Writes: writes}
	}
	r := &decider{s: s, d: d, now: now}
	r.out.Writes = writes
	if d.Deleting() {
		return r.collect()
	}
	if d.Selector == nil {
		return r.finish() // selects every pod, or none: claims nothing (E15)
	}
	r.ripen()
	if !r.revise() {
		return r.finish()
	}
	r.manage()
	if d.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		r.roll()
	}
	r.forget()
	r.status()
	r.whole = true
	return r.finish()
}

// ripen finds the cells whose pods became available since the last event.
func (r *decider) ripen() {
	r.d.Maturing(func(c *sets.Cell, from time.Time) bool {
		if from.After(r.now) {
			r.requeueBy(from)
			return false
		}
		r.due = append(r.due, c)
		if c.Place == sets.Run {
			r.progress = from
		}
		return true
	})
}

// available returns the number of desired nodes with an available pod, and of
// nodes that only keep theirs.
func (r *decider) available() (desired, spare int) {
	desired, spare = r.d.Counts.Available, r.d.Counts.Spare
	for _, c := range r.due {
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
func (r *decider) isAvailable(p *sets.Pod) bool {
	from := r.d.AvailableFrom(p)
	return !from.IsZero() && !from.After(r.now)
}

// manage brings every node to the pods that it should have, whatever their revision.
func (r *decider) manage() {
	d := r.d
	r.limitCreates()
	r.release(events.NotSelected)
	r.each(sets.WorkAdopt, r.adopt)
	r.each(sets.WorkEvict, r.evict)
	r.each(sets.WorkTerminal, r.deleteTerminal)
	r.each(sets.WorkSurplus, r.thin)
	if d.Surge {
		r.each(sets.WorkHandover, r.handOver)
	}
	r.each(sets.WorkMissing, r.fill)
	r.holdMore(d.Counts.Waiting, events.HeldTerminating)
	r.holdMore(d.Creating, events.HeldPending)
}

// release lets go of owned pods that the selector does not match any more.
func (r *decider) release(why events.Reason) {
	r.d.Releasable(func(p *sets.Pod) bool {
		if until := deniedUntil(p); r.now.Before(until) {
			r.requeueBy(until)
			return true
		}
		r.cmds = append(r.cmds, events.Command{Do: events.ReleasePod, Ref: p.Ref(),
			Node: p.Node, NodeUID: p.NodeUID, Reason: why})
		return !r.full()
	})
}

// each visits the cells of a set of work until the plan is full. What is left
// is planned after these commands are in the log.
func (r *decider) each(w sets.Work, f func(*sets.Cell)) {
	seen := 0
	r.d.Cells(w, func(c *sets.Cell) bool {
		if r.full() {
			r.holdMore(r.d.Size(w)-seen, events.HeldLimit)
			return false
		}
		seen++
		f(c)
		return true
	})
}

func (r *decider) adopt(c *sets.Cell) {
	for _, p := range r.d.Survey(c, &r.survey).Orphans {
		if r.denied(c, p) {
			continue
		}
		r.cmds = append(r.cmds, events.Command{Do: events.AdoptPod, Ref: p.Ref(),
			Node: c.Node, NodeUID: c.NodeUID, Reason: events.Selected})
	}
}

// deleteTerminal deletes pods that failed or succeeded, one a window of the cell's backoff.
func (r *decider) deleteTerminal(c *sets.Cell) {
	if until := BackoffUntil(c); r.now.Before(until) {
		r.hold(c, events.HeldBackoff, until)
		r.requeueBy(until)
		return
	}
	for _, p := range r.d.Survey(c, &r.survey).Dead {
		if p.OwnerUID != r.d.UID {
			continue
		}
		why := events.FailedPod
		if p.Phase == "Succeeded" {
			why = events.Succeeded
		}
		r.delete(c, p, why)
		return
	}
}

// thin leaves one pod on a node: the first that is ready, else the first (F07,
// S11). Surging it leaves the first of each revision (F11).
func (r *decider) thin(c *sets.Cell) {
	s := r.d.Survey(c, &r.survey)
	if r.d.Surge {
		for _, side := range [2][]*sets.Pod{s.New, s.Old} {
			for i, p := range side {
				if i > 0 && p.OwnerUID == r.d.UID {
					r.delete(c, p, events.Duplicate)
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
		if i != keep && p.OwnerUID == r.d.UID {
			r.delete(c, p, events.Duplicate)
		}
	}
}

// handOver ends the old pod of a surging node once the new one is available,
// or the old one is of no use (F12).
func (r *decider) handOver(c *sets.Cell) {
	s := r.d.Survey(c, &r.survey)
	if len(s.Old) == 0 || len(s.New) == 0 || s.Old[0].OwnerUID != r.d.UID {
		return
	}
	switch from := r.d.AvailableFrom(s.New[0]); {
	case s.Old[0].ReadySince.IsZero() || r.isAvailable(s.New[0]):
		r.delete(c, s.Old[0], events.SurgeDone)
		r.rollout.Surging--
	case !from.IsZero():
		r.requeueBy(from) // the cell is available through its old pod, so it does not mature
	}
}

// limitCreates says how many pods may be created by this plan: after a refusal
// none for a while, then one, then one more with each that worked; and no more
// than the DaemonSet's own rate.
func (r *decider) limitCreates() {
	d := r.d
	r.creates = events.MaxCommands
	if until := refusedUntil(d); r.now.Before(until) {
		r.creates, r.createsFrom = 0, until
		return
	}
	if d.SlowStart > 0 {
		r.creates = max(0, d.SlowStart-d.Creating)
	}
	if rate := d.Settings.Rate; rate > 0 {
		if next := d.RateFrom.Add(time.Second); r.now.Before(next) {
			r.creates, r.createsFrom = min(r.creates, max(0, rate-d.RateUsed)), next
		} else {
			r.creates = min(r.creates, rate)
		}
	}
}

func (r *decider) fill(c *sets.Cell) { r.create(c, events.Missing) }

// succeeded reports whether a deleted DaemonSet of the same name has no pod on
// the node and none under way to it.
func (r *decider) succeeded(c *sets.Cell) bool {
	for _, g := range r.s.DeletedSets(r.d.Key) {
		if old := g.Cell(c.CellKey); old != nil && (len(old.Pods) > 0 || old.Creating()) {
			return false
		}
	}
	return true
}

// create plans a pod, unless the end of its namespace, a predecessor's pod, the
// cell's backoff or the limit on creates holds it back, and reports whether it
// did.
func (r *decider) create(c *sets.Cell, why events.Reason) bool {
	if r.s.Terminating(r.d.Key.Namespace) {
		r.hold(c, events.HeldNamespace, time.Time{})
		return false
	}
	if !r.succeeded(c) {
		r.hold(c, events.HeldPredecessor, time.Time{})
		return false
	}
	if until := BackoffUntil(c); r.now.Before(until) {
		r.hold(c, events.HeldBackoff, until)
		r.requeueBy(until)
		return false
	}
	if r.creates == 0 {
		r.hold(c, events.HeldLimit, r.createsFrom)
		if !r.createsFrom.IsZero() {
			r.requeueBy(r.createsFrom)
		}
		return false
	}
	r.creates--
	hash := r.d.CurrentRevision().Hash
	r.cmds = append(r.cmds, events.Command{Do: events.CreatePod,
		Ref: events.Ref{Kind: events.Pod, UID: daemonpod.UID(r.d.UID, c.NodeUID, hash, c.Attempts),
			Key: events.Key{Namespace: r.d.Key.Namespace, Name: daemonpod.Name(r.d.Key.Name, r.d.UID, c.NodeUID, hash, c.Attempts)}},
		Node: c.Node, NodeUID: c.NodeUID, Revision: hash, Attempt: c.Attempts, Reason: why})
	return true
}
