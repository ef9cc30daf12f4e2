package controller

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events"
	"rollcall/projector/sets"
)

// resolve evaluates maxUnavailable and maxSurge for a number of desired nodes:
// a percentage is rounded up, and both zero means one unavailable (I02, I03).
func resolve(u *appsv1.RollingUpdateDaemonSet, desired int) (unavailable, surge int, err error) {
	scale := func(v *intstr.IntOrString) int {
		if v == nil || err != nil {
			return 0
		}
		var n int
		if n, err = intstr.GetScaledValueFromIntOrPercent(v, desired, true); err != nil {
			err = fmt.Errorf("resolve %q of %d nodes: %w", v.String(), desired, err)
		}
		return n
	}
	if u != nil {
		unavailable, surge = scale(u.MaxUnavailable), scale(u.MaxSurge)
	}
	if desired > 0 && unavailable == 0 && surge == 0 {
		unavailable = 1
	}
	return unavailable, surge, err
}

// roll replaces pods of old revisions, within the budget.
func (d *decider) roll() {
	ds := d.ds
	available, _ := d.available()
	old := d.old(sets.OldBroken, sets.OldYoung, sets.OldReady)
	maxUnavailable, maxSurge, err := resolve(d.rolling(), ds.Counts.Desired)
	if err != nil {
		return // validation refuses it; a log from elsewhere may hold it
	}
	d.rollout.Desired, d.rollout.Updated = ds.Counts.Desired, ds.Counts.Updated
	d.rollout.Unavailable = ds.Counts.Desired - available
	d.rollout.Surging += ds.Counts.Surging
	if ds.Surge {
		d.rollout.MaxSurge = maxSurge
	} else {
		d.rollout.MaxUnavailable = maxUnavailable
	}
	withheld, held := d.size(sets.OldWithheld), d.size(sets.OldHeld)
	if ds.IsPaused() {
		d.holdMore(old+withheld+held, events.HeldPaused)
		d.blockPaused()
		return
	}
	if d.holdSet() {
		return
	}
	d.holdNodes()
	d.holdMore(withheld, events.HeldCanary)
	d.blockSets(Blocker{Rule: Rule(events.HeldCanary), Says: ds.Settings.Canary}, sets.OldWithheld)
	if old+d.size(sets.OldKept) == 0 {
		return
	}
	allowed := old
	if p := ds.Settings.Partition; p != nil {
		if n, err := intstr.GetScaledValueFromIntOrPercent(p, ds.Counts.Desired, false); err == nil {
			stay := max(0, n-d.heldNodes())
			allowed = max(0, old-stay)
			d.holdMore(min(stay, old), events.HeldPartition)
		}
	}
	if ds.Surge {
		d.rollSurge(allowed)
	} else {
		d.rollInPlace(allowed)
	}
}

// victims are old pods on desired nodes in the order in which they are
// replaced: not ready, then ready but young, then available; within each the
// oldest revision first, then by node (R16).
type victims struct{ broken, young, available []*sets.Cell }

// available is the place of available pods among the kinds of victims.
const available = 2

func (v *victims) kinds() [3][]*sets.Cell { return [3][]*sets.Cell{v.broken, v.young, v.available} }

// victims lists at most n of each kind, and of those that are available, which
// may be all nodes, no more than are free in the budget.
func (d *decider) victims(n, free int) victims {
	var v victims
	for _, x := range [...]struct {
		work sets.Work
		to   *[]*sets.Cell
		most int
	}{{sets.OldBroken, &v.broken, n}, {sets.OldYoung, &v.young, n}, {sets.OldReady, &v.available, min(n, free)}} {
		d.cells(x.work, func(c *sets.Cell) bool {
			*x.to = append(*x.to, c)
			return len(*x.to) < x.most
		})
	}
	return v
}

func byAge(a, b *sets.Cell) int {
	if a.Rank() != b.Rank() {
		return int(min(1, max(-1, a.Rank()-b.Rank())))
	}
	if a.Node < b.Node {
		return -1
	}
	return 1
}

// slots cuts the victims down to what a budget allows, by the DaemonSet's rule
// for pods that are not available anyway. free is the budget without the part
// that nodes use up whose pods the rollout does not replace now; allowed bounds
// the victims of all kinds together.
func (d *decider) slots(v *victims, free, allowed int) {
	cut := func(cs *[]*sets.Cell, n int) int {
		n = max(0, min(n, len(*cs), allowed))
		*cs = (*cs)[:n]
		allowed -= n
		return n
	}
	free = max(0, free)
	switch d.ds.Settings.Budget {
	case events.BudgetStrict:
		free -= cut(&v.broken, free)
		free -= cut(&v.young, free)
	case events.BudgetUpstream:
		cut(&v.broken, allowed)
		cut(&v.young, allowed)
	default:
		cut(&v.broken, allowed)
		free -= cut(&v.young, free)
	}
	cut(&v.available, free)
}

// rollInPlace deletes old pods; manage makes new ones when they are gone.
func (d *decider) rollInPlace(allowed int) {
	ds := d.ds
	room := events.MaxCommands - len(d.cmds)
	budget := d.rollout.MaxUnavailable
	youngOld, brokenOld := d.size(sets.OldYoung), d.size(sets.OldBroken)
	// Nodes that are not ready lost their pods by themselves; as many as the
	// DaemonSet says do not use up its budget (W01).
	lost := min(ds.Settings.Lost, ds.Counts.Lost)
	used := d.rollout.Unavailable - lost
	switch ds.Settings.Budget {
	case events.BudgetStrict:
		used -= youngOld + brokenOld
	case events.BudgetDefault:
		used -= youngOld
	}
	free := budget - used
	v := d.victims(room, free)
	d.slots(&v, free, min(allowed, room))
	taken := 0
	for i, kind := range v.kinds() {
		for _, c := range kind {
			if !d.deleteOld(c) {
				continue
			}
			if i == available {
				taken++
			}
		}
	}
	d.rollout.Taken = taken
	// What is left of the budget goes to nodes that keep an old pod but get no new one (C12).
	left := budget - d.rollout.Unavailable + lost - d.rollout.Taken
	d.each(sets.OldKept, func(c *sets.Cell) {
		p := d.ds.Survey(c, &d.survey).Old[0]
		switch {
		case p.ReadySince.IsZero():
			d.deleteOld(c)
		case left > 0:
			left--
			d.deleteOld(c)
			d.rollout.Taken++
		default:
			d.blockBudget(c)
		}
	})
	d.holdOld(&v, allowed)
}

// deleteOld deletes the one pod of an old revision in a cell, for the rollout, unless
// that was done too often, and reports whether it did not hold it back.
func (d *decider) deleteOld(c *sets.Cell) bool {
	if cur := d.ds.CurrentRevision(); cur != nil {
		if until := c.LoopUntil(cur.Hash); d.now.Before(until) {
			d.hold(c, events.HeldLoop, until)
			d.requeueBy(until)
			return false
		}
	}
	if p := d.ds.Survey(c, &d.survey).Old[0]; p.OwnerUID == d.ds.UID {
		d.delete(c, p, events.Rollout)
	}
	return true
}

// holdOld counts, and names the first of, the old pods that the budget holds
// back: all that may be replaced but are not among the victims.
func (d *decider) holdOld(v *victims, allowed int) {
	old := d.old(sets.OldBroken, sets.OldYoung, sets.OldReady)
	left := min(allowed, old) - len(v.broken) - len(v.young) - len(v.available)
	named := 0
	name := func(w sets.Work, skip int) {
		d.cells(w, func(c *sets.Cell) bool {
			if skip--; skip >= 0 {
				return true
			}
			if named >= min(left, events.MaxWaits) {
				return false
			}
			named++
			d.hold(c, events.HeldBudget, time.Time{})
			return true
		})
	}
	name(sets.OldBroken, len(v.broken))
	name(sets.OldYoung, len(v.young))
	name(sets.OldReady, len(v.available))
	d.holdMore(left-named, events.HeldBudget)
	d.blockOld(v, allowed)
}

// rollSurge creates new pods beside old ones. Nodes that get no new pod lose
// their old one only as far as enough nodes are available without it (J10).
func (d *decider) rollSurge(allowed int) {
	ds := d.ds
	room := events.MaxCommands - len(d.cmds)
	free := d.rollout.MaxSurge - d.rollout.Surging
	v := d.victims(room, free)
	d.slots(&v, free, min(allowed, room))
	for i, kind := range v.kinds() {
		for _, c := range kind {
			if d.create(c, events.Surge) && i > 0 {
				d.rollout.Added++
			}
		}
	}
	available, spare := d.available()
	extra := available + spare - ds.Counts.Desired
	d.each(sets.OldKept, func(c *sets.Cell) {
		p := ds.Survey(c, &d.survey).Old[0]
		switch {
		case p.ReadySince.IsZero():
			d.deleteOld(c)
		case !d.isAvailable(p) && ds.Settings.Budget == events.BudgetUpstream:
			d.deleteOld(c)
		case extra > 0:
			extra--
			d.deleteOld(c)
			d.rollout.Taken++
		default:
			d.block(c, Blocker{Rule: RuleAvailable, Used: available + spare, Limit: ds.Counts.Desired})
		}
	})
	d.holdOld(&v, allowed)
}
