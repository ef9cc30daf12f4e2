package simtest

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// judgement is what is found about one plan, at the position it was decided from.
type judgement struct {
	h     *History
	b     *model
	s     *setModel
	plan  *events.Plan
	seq   events.Seq
	now   time.Time
	cells map[cellKey]*situation
	all   []*situation
	gone  map[types.UID]events.Reason // what the plan deletes
	first *Violation
}

func (v *judgement) wrong(invariant, format string, args ...any) {
	if v.first == nil {
		v.first = violation(invariant, v.seq, format, args...)
	}
}

// judge checks a plan; b is at its basis.
func (h *History) judge(b *model, r recorded) *Violation {
	s := b.sets[r.plan.Owner.UID]
	if s == nil {
		return violation("L4", r.seq, "plan for a DaemonSet that the log does not know")
	}
	v := &judgement{h: h, b: b, s: s, plan: r.plan, seq: r.seq, now: r.plan.Basis.Now,
		cells: map[cellKey]*situation{}, gone: map[types.UID]events.Reason{}}
	if v.now.Before(b.now) {
		v.wrong("L14", "decided at %s, before its basis at %s", v.now, b.now)
	}
	v.all = b.situations(s)
	for _, x := range v.all {
		v.cells[x.cellKey] = x
	}
	for _, c := range r.plan.Commands {
		if c.Do == events.DeletePod {
			if _, twice := v.gone[c.UID]; twice {
				v.wrong("S4", "deletes pod %s twice", c.Name)
			}
			v.gone[c.UID] = c.Reason
		}
	}
	for _, c := range r.plan.Commands {
		v.command(c)
	}
	b.noteDisruptions(r, s)
	v.failuresOnce()
	v.rollout()
	return v.first
}

func (v *judgement) command(c events.Command) {
	x := v.cells[cellKey{c.Node, c.NodeUID}]
	if x == nil {
		x = &situation{cellKey: cellKey{c.Node, c.NodeUID}}
	}
	if c.Do == events.CreatePod {
		v.create(c, x)
		return
	}
	p := v.b.pods[c.Key]
	if p == nil || p.UID != c.UID {
		v.wrong("S7", "%s names pod %s that is not there", c.Do, c.Name)
		return
	}
	switch c.Do {
	case events.AdoptPod:
		if p.owner != "" || p.DeletionTimestamp != nil || v.s.deleting() || !selects(v.s.DaemonSet, p.Pod) {
			v.wrong("S7", "adopts pod %s, which it may not", c.Name)
		}
		return
	case events.ReleasePod:
		if p.owner != v.s.UID || !v.s.deleting() && selects(v.s.DaemonSet, p.Pod) {
			v.wrong("S7", "releases pod %s, which it selects", c.Name)
		}
		return
	}
	if p.owner != v.s.UID {
		v.wrong("S7", "deletes pod %s of owner %q", c.Name, p.owner)
		return
	}
	for _, o := range v.b.open {
		if o.Do == events.DeletePod && o.UID == c.UID {
			v.wrong("S4", "deletes pod %s, which #%d.%d deletes already", c.Name, o.cause.Seq, o.cause.Index)
		}
	}
	v.delete(c, x, p)
}

func (v *judgement) create(c events.Command, x *situation) {
	node := v.b.nodes[c.Node]
	switch {
	case v.s.deleting():
		v.wrong("S8", "creates a pod for a DaemonSet that is deleted")
	case node == nil || node.UID != c.NodeUID:
		v.wrong("S9", "creates a pod on %s (%s), which is not there", c.Node, c.NodeUID)
	case x.place != wanted:
		v.wrong("S3", "creates a pod on %s, which is %s", c.Node, x.place)
	case x.creating > 0:
		v.wrong("S1", "creates a pod on %s, where one is being made", c.Node)
	case !v.b.current(v.s)[c.Revision]:
		v.wrong("R10", "creates a pod of revision %s, which is not current", c.Revision)
	case !surging(v.s.DaemonSet) && (x.pods > 0 || c.Reason != events.Missing):
		v.wrong("S2", "creates a pod on %s (%s), where there are %d", c.Node, c.Reason, x.pods)
	case surging(v.s.DaemonSet) && c.Reason == events.Missing && len(x.live())+x.left+len(x.dead) > 0:
		v.wrong("S2", "creates a missing pod on %s beside others", c.Node)
	case c.Reason == events.Surge && (len(x.fresh) > 0 || len(x.old) != 1 || x.left > 0):
		v.wrong("S1", "surges on %s with %d new, %d old, %d leaving", c.Node, len(x.fresh), len(x.old), x.left)
	}
	v.afterPause(c)
	for _, k := range v.b.keys {
		p := v.b.pods[k]
		if s := v.b.sets[p.owner]; s != nil && s != v.s && s.gone && s.key == v.s.key && p.cell == x.cellKey && !finished(p.Pod) {
			v.wrong("S1b", "creates a pod on %s beside pod %s of its predecessor", c.Node, p.Name)
		}
	}
}

// afterPause checks that a cell whose pods fail is left alone for a while (H1).
func (v *judgement) afterPause(c events.Command) {
	f := v.s.fails[cellKey{c.Node, c.NodeUID}]
	if f != nil && v.now.Before(f.at.Add(pauseAfter(f.n))) {
		v.wrong("H1", "%s (%s) on %s %s after failure %d", c.Do, c.Reason, c.Node, v.now.Sub(f.at), f.n)
	}
}

// failuresOnce checks that one failed pod of a cell is deleted at a time.
func (v *judgement) failuresOnce() {
	seen := map[cellKey]bool{}
	creates := 0
	for _, c := range v.plan.Commands {
		k := cellKey{c.Node, c.NodeUID}
		if c.Reason == events.FailedPod || c.Reason == events.Succeeded {
			if seen[k] {
				v.wrong("H1", "deletes two failed pods on %s at once", c.Node)
			}
			seen[k] = true
		}
		if c.Do == events.CreatePod {
			creates++
		}
	}
	if rate := count(v.s.DaemonSet, events.AnnotationRate); rate > 0 && creates > rate {
		v.wrong("H2", "%d creates, and %d a second are allowed", creates, rate)
	}
}

// delete checks that the reason given is true (S4, S5, S6, S11).
func (v *judgement) delete(c events.Command, x *situation, p *podModel) {
	if p.cell != x.cellKey {
		v.wrong("S4", "deletes pod %s of another node than %s (%s)", c.Name, c.Node, c.NodeUID)
	}
	if p.DeletionTimestamp != nil && x.place != nowhere {
		v.wrong("S4", "deletes pod %s, which is terminating", c.Name)
	}
	ok := false
	switch c.Reason {
	case events.NodeGone:
		ok = x.place == nowhere && !v.s.deleting()
	case events.OwnerGone:
		ok = v.s.deleting()
	case events.NotWanted:
		ok = x.place == unwanted && !suspended(v.s.DaemonSet) && !v.s.deleting()
	case events.Suspended:
		ok = x.place == unwanted && suspended(v.s.DaemonSet) && !v.s.deleting()
	case events.FailedPod, events.Succeeded:
		ok = p.Status.Phase == corev1.PodPhase(c.Reason)
		v.afterPause(c)
	case events.Duplicate:
		ok = v.duplicate(x, p)
	case events.SurgeDone:
		ok = surging(v.s.DaemonSet) && slices.Contains(x.old, p) && len(x.fresh) > 0 &&
			(p.since.IsZero() || v.s.available(x.fresh[0], v.now))
		if !ok {
			v.wrong("R5", "deletes pod %s, though the new one is not available", c.Name)
		}
	case events.Rollout:
		ok = slices.Contains(x.old, p) && x.place >= kept
	}
	if !ok {
		v.wrong("S4", "deletes pod %s on %s for %q, which is not so (node %s)", c.Name, c.Node, c.Reason, x.place)
	}
}

// duplicate checks which of several pods stays: not surging the first ready
// one or else the first; surging the first of each revision (F07, F11, S11).
func (v *judgement) duplicate(x *situation, p *podModel) bool {
	side := x.live()
	if surging(v.s.DaemonSet) {
		side = x.old
		if slices.Contains(x.fresh, p) {
			side = x.fresh
		}
	}
	slices.SortFunc(side, seniority)
	stays := 0
	if !surging(v.s.DaemonSet) {
		stays = max(0, slices.IndexFunc(side, func(q *podModel) bool { return !q.since.IsZero() }))
	}
	if len(side) < 2 || !slices.Contains(side, p) {
		return false
	}
	if side[stays] == p {
		v.wrong("S11", "deletes pod %s, which should be the one that stays", p.Name)
	}
	return true
}

// revision of a pod, for messages.
func (p *podModel) revision() string { return p.Labels[daemonpod.RevisionLabel] }
