package simtest

import (
	"slices"
	"strings"

	"rollcall/events"
)

// tally is what a plan's budget is counted from, over the whole DaemonSet.
type tally struct {
	desired, unavailable      int
	lost                      int // of those unavailable, on nodes that are not ready
	oldBroken, oldYoung, old  int // wanted nodes with one old pod and nothing else
	available, spare, surging int
	tookBroken, tookYoung     int // by the plan, for the rollout, on wanted nodes
	tookReady                 int // available ones, on any node
	tookOld                   int // on wanted nodes
	tookKept                  int // available ones on nodes that only keep them
	addedReady, addedYoung    int
	added                     int
}

func (v *judgement) tally() tally {
	var t tally
	rolled := map[cellKey]events.Reason{}
	for _, c := range v.plan.Commands {
		if c.Reason == events.Rollout || c.Reason == events.Surge {
			rolled[cellKey{c.Node, c.NodeUID}] = c.Reason
		}
	}
	for _, x := range v.all {
		if x.place != wanted && x.place != kept {
			continue
		}
		some := v.s.anyAvailable(x.live(), v.now)
		overlap := len(x.old) > 0 && (len(x.fresh) > 0 || x.creating > 0)
		if overlap && v.gone[x.old[0].UID] == "" {
			t.surging++
		}
		node := v.b.nodes[x.node]
		held := v.b.holdsNode(v.s, node, v.now)
		if held && rolled[x.cellKey] != "" {
			v.wrong("HOLD", "rolls %s, which is held", x.node)
		}
		if x.place == kept {
			if some {
				t.spare++
			}
			if rolled[x.cellKey] == events.Rollout && some {
				t.tookReady++
				t.tookKept++
			}
			continue
		}
		t.desired++
		if some {
			t.available++
		} else {
			t.unavailable++
		}
		if !nodeReady(node) && !slices.ContainsFunc(x.live(), func(p *podModel) bool { return !p.since.IsZero() }) {
			t.lost++
		}
		if withheld(v.s.DaemonSet, node) {
			if rolled[x.cellKey] != "" {
				v.wrong("R9", "rolls %s, which is no canary", x.node)
			}
			continue
		}
		switch {
		case !x.single(v.s):
		case held:
			t.old++
		default:
			t.single(v, x, some, rolled[x.cellKey])
		}
	}
	t.lost = min(t.lost, count(v.s.DaemonSet, events.AnnotationUnreachable))
	return t
}

// single counts a wanted node that has one old pod and nothing else.
func (t *tally) single(v *judgement, x *situation, available bool, rolled events.Reason) {
	t.old++
	broken := x.old[0].since.IsZero()
	switch {
	case broken:
		t.oldBroken++
	case !available:
		t.oldYoung++
	}
	switch {
	case rolled == "":
		return
	case rolled == events.Surge:
		t.added++
		if available {
			t.addedReady++
		} else if !broken {
			t.addedYoung++
		}
		return
	case broken:
		t.tookBroken++
	case !available:
		t.tookYoung++
	default:
		t.tookReady++
	}
	t.tookOld++
}

// rollout checks a plan's steps of a rollout against its budget (R1, R3 to R9).
func (v *judgement) rollout() {
	ds, p := v.s.DaemonSet, v.plan
	steps := 0
	for _, c := range p.Commands {
		if c.Reason == events.Rollout || c.Reason == events.Surge {
			steps++
		}
	}
	if v.s.deleting() || !rolls(ds) {
		if steps > 0 {
			v.wrong("R8", "%d rollout steps of a DaemonSet that does not roll", steps)
		}
		return
	}
	if steps > 0 && paused(ds) {
		v.wrong("R9", "%d rollout steps while paused", steps)
	}
	if steps > 0 && v.b.holdsSet(v.s, v.now) {
		v.wrong("HOLD", "%d rollout steps of a DaemonSet that is held", steps)
	}
	if steps > 0 && slices.ContainsFunc(sortedKeys(v.b.holds, strings.Compare), func(n string) bool { return !v.now.Before(v.b.holds[n].Until) }) {
		v.h.seen.add(seenHoldEnd)
	}
	t := v.tally()
	maxUnavailable, maxSurge := budget(ds, t.desired)
	v.recordedBudget(t, maxUnavailable, maxSurge)
	if n := partition(ds, t.desired); t.tookOld+t.added > max(0, t.old-n) {
		v.wrong("R9", "%d of %d old pods replaced, %d have to stay", t.tookOld+t.added, t.old, n)
	}
	if surging(ds) {
		v.surge(t, maxSurge)
		return
	}
	if t.desired > 0 && scaled(ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable, t.desired, false) == 0 {
		v.h.seen.add(seenPercentToZero)
	}
	v.inPlace(t, maxUnavailable)
}

// inPlace checks maxUnavailable, by the DaemonSet's own rule for pods that are
// not available anyway.
func (v *judgement) inPlace(t tally, maxUnavailable int) {
	if t.added > 0 {
		v.wrong("R5", "surges though maxSurge is 0")
	}
	counted := t.unavailable - t.lost
	if t.tookReady > max(0, maxUnavailable-counted) {
		v.wrong("R1", "%d available pods taken with %d of %d nodes unavailable and at most %d allowed",
			t.tookReady, counted, t.desired, maxUnavailable)
	}
	switch v.s.Annotations[events.AnnotationBudget] {
	case "strict":
		if free := maxUnavailable - (counted - t.oldBroken - t.oldYoung); t.tookOld > max(0, free) {
			v.wrong("R4", "%d pods taken, strictly %d are allowed", t.tookOld, free)
		}
	case "upstream":
	default:
		if free := maxUnavailable - (counted - t.oldYoung); t.tookReady+t.tookYoung-t.tookKept > max(0, free) {
			v.wrong("R4", "%d ready pods taken, %d are allowed", t.tookReady+t.tookYoung-t.tookKept, free)
		}
	}
	stay := max(0, t.old-partition(v.s.DaemonSet, t.desired))
	if t.tookReady > t.tookKept && t.tookBroken+t.tookYoung < min(t.oldBroken+t.oldYoung, stay) {
		v.wrong("R3", "available pods taken before %d that are not", t.oldBroken+t.oldYoung-t.tookBroken-t.tookYoung)
	}
}

func (v *judgement) surge(t tally, maxSurge int) {
	if t.tookOld > 0 {
		v.wrong("R5", "%d pods of wanted nodes deleted to be rolled, though surging", t.tookOld)
	}
	added := t.addedReady
	if v.s.Annotations[events.AnnotationBudget] != "upstream" {
		added += t.addedYoung
	}
	if added > max(0, maxSurge-t.surging) {
		v.wrong("R5", "%d pods added beside old ones with %d such nodes already and at most %d allowed", added, t.surging, maxSurge)
	}
	if t.tookKept > max(0, t.available+t.spare-t.desired) {
		v.wrong("R5", "%d pods of kept nodes taken with %d available and %d spare of %d", t.tookKept, t.available, t.spare, t.desired)
	}
}

// recordedBudget checks that the plan says what the log does (R7, R15).
func (v *judgement) recordedBudget(t tally, maxUnavailable, maxSurge int) {
	r := v.plan.Rollout
	if surging(v.s.DaemonSet) {
		maxUnavailable = 0
	} else {
		maxSurge = 0
	}
	if r.Desired != t.desired || r.Unavailable != t.unavailable || r.MaxUnavailable != maxUnavailable || r.MaxSurge != maxSurge {
		v.wrong("R15", "records %+v, but %d are desired, %d unavailable, at most %d unavailable and %d surging allowed",
			r, t.desired, t.unavailable, maxUnavailable, maxSurge)
	}
}
