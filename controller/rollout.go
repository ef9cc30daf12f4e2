package controller

import (
	"fmt"
	"slices"
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
func (r *decider) roll() {
	d := r.d
	available, _ := r.available()
	old := d.Size(sets.OldBroken) + d.Size(sets.OldYoung) + d.Size(sets.OldReady)
	maxUnavailable, maxSurge, err := resolve(d.Spec.UpdateStrategy.RollingUpdate, d.Counts.Desired)
	if err != nil {
		return // validation refuses it; a log from elsewhere may hold it
	}
	r.rollout.Desired, r.rollout.Updated = d.Counts.Desired, d.Counts.Updated
	r.rollout.Unavailable = d.Counts.Desired - available
	r.rollout.Surging += d.Counts.Surging
	if d.Surge {
		r.rollout.MaxSurge = maxSurge
	} else {
		r.rollout.MaxUnavailable = maxUnavailable
	}
	withheld := d.Size(sets.OldWithheld)
	if d.Settings.Paused {
		r.holdMore(old+withheld, events.HeldPaused)
		return
	}
	r.holdMore(withheld, events.HeldCanary)
	if old+d.Size(sets.OldKept) == 0 {
		return
	}
	allowed := old
	if p := d.Settings.Partition; p != nil {
		if n, err := intstr.GetScaledValueFromIntOrPercent(p, d.Counts.Desired, false); err == nil {
			allowed = max(0, old-n)
			r.holdMore(min(n, old), events.HeldPartition)
		}
	}
	if d.Surge {
		r.rollSurge(allowed)
	} else {
		r.rollInPlace(allowed)
	}
}

// victims are old pods on desired nodes in the order in which they are
// replaced: not ready, then ready but young, then available; within each the
// oldest revision first, then by node (R16).
type victims struct{ broken, young, available []*sets.Cell }

// victims lists at most n of each kind.
func (r *decider) victims(n int) victims {
	var v victims
	r.d.Cells(sets.OldBroken, func(c *sets.Cell) bool {
		v.broken = append(v.broken, c)
		return len(v.broken) < n
	})
	// Cells that became available since the last event are still filed as
	// young; they are sorted in among the available ones.
	due := slices.DeleteFunc(slices.Clone(r.due), func(c *sets.Cell) bool { return !c.In(sets.OldYoung) })
	r.d.Cells(sets.OldYoung, func(c *sets.Cell) bool {
		if !slices.Contains(due, c) {
			v.young = append(v.young, c)
		}
		return len(v.young) < n
	})
	r.d.Cells(sets.OldReady, func(c *sets.Cell) bool {
		v.available = append(v.available, c)
		return len(v.available) < n
	})
	if len(due) > 0 {
		v.available = append(v.available, due...)
		slices.SortFunc(v.available, byAge)
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

// slots splits a budget over the kinds of victims, by the DaemonSet's rule for
// pods that are not available anyway. free says how many of the whole budget
// are not used by nodes that have no ready pod or a new one that is young.
func (r *decider) slots(v *victims, budget, used, allowed int) {
	cut := func(cs *[]*sets.Cell, n int) int {
		n = max(0, min(n, len(*cs), allowed))
		*cs = (*cs)[:n]
		allowed -= n
		return n
	}
	free := max(0, budget-used)
	switch r.d.Settings.Budget {
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
func (r *decider) rollInPlace(allowed int) {
	d := r.d
	room := events.MaxCommands - len(r.cmds)
	v := r.victims(room)
	budget := r.rollout.MaxUnavailable
	dueOld := 0
	for _, c := range r.due {
		if c.In(sets.OldYoung) {
			dueOld++
		}
	}
	youngOld, brokenOld := d.Size(sets.OldYoung)-dueOld, d.Size(sets.OldBroken)
	// Nodes that are not ready lost their pods by themselves; as many as the
	// DaemonSet says do not use up its budget (W01).
	lost := min(d.Settings.Lost, d.Counts.Lost)
	used := r.rollout.Unavailable - lost
	switch d.Settings.Budget {
	case events.BudgetStrict:
		used -= youngOld + brokenOld
	case events.BudgetDefault:
		used -= youngOld
	}
	r.slots(&v, budget, used, min(allowed, room))
	for _, kind := range [3][]*sets.Cell{v.broken, v.young, v.available} {
		for _, c := range kind {
			r.deleteOld(c)
		}
	}
	r.rollout.Taken = len(v.available)
	// What is left of the budget goes to nodes that keep an old pod but get no new one (C12).
	left := budget - r.rollout.Unavailable + lost - r.rollout.Taken
	r.each(sets.OldKept, func(c *sets.Cell) {
		p := r.d.Survey(c, &r.survey).Old[0]
		switch {
		case p.ReadySince.IsZero():
			r.deleteOld(c)
		case left > 0:
			left--
			r.deleteOld(c)
			r.rollout.Taken++
		}
	})
	r.holdOld(&v, allowed)
}

// deleteOld deletes the one old pod of a cell for the rollout.
func (r *decider) deleteOld(c *sets.Cell) {
	if p := r.d.Survey(c, &r.survey).Old[0]; p.OwnerUID == r.d.UID {
		r.delete(c, p, events.Rollout)
	}
}

// holdOld counts, and names the first of, the old pods that the budget holds
// back: all that may be replaced but are not among the victims.
func (r *decider) holdOld(v *victims, allowed int) {
	d := r.d
	old := d.Size(sets.OldBroken) + d.Size(sets.OldYoung) + d.Size(sets.OldReady)
	left := min(allowed, old) - len(v.broken) - len(v.young) - len(v.available)
	named := 0
	name := func(w sets.Work, skip int) {
		d.Cells(w, func(c *sets.Cell) bool {
			if skip--; skip >= 0 {
				return true
			}
			if named >= min(left, events.MaxWaits) {
				return false
			}
			named++
			r.hold(c, events.HeldBudget, time.Time{})
			return true
		})
	}
	name(sets.OldBroken, len(v.broken))
	name(sets.OldYoung, len(v.young))
	name(sets.OldReady, len(v.available))
	r.holdMore(left-named, events.HeldBudget)
}

// rollSurge creates new pods beside old ones. Nodes that get no new pod lose
// their old one only as far as enough nodes are available without it (J10).
func (r *decider) rollSurge(allowed int) {
	d := r.d
	room := events.MaxCommands - len(r.cmds)
	v := r.victims(room)
	r.slots(&v, r.rollout.MaxSurge, r.rollout.Surging, min(allowed, room))
	made := 0
	for i, kind := range [3][]*sets.Cell{v.broken, v.young, v.available} {
		for _, c := range kind {
			if r.create(c, events.Surge) {
				made++
				if i > 0 {
					r.rollout.Added++
				}
			}
		}
	}
	available, spare := r.available()
	extra := available + spare - d.Counts.Desired
	r.each(sets.OldKept, func(c *sets.Cell) {
		p := d.Survey(c, &r.survey).Old[0]
		switch {
		case p.ReadySince.IsZero():
			r.deleteOld(c)
		case !r.isAvailable(p) && d.Settings.Budget == events.BudgetUpstream:
			r.deleteOld(c)
		case extra > 0:
			extra--
			r.deleteOld(c)
			r.rollout.Taken++
		}
	})
	r.holdOld(&v, allowed)
}
