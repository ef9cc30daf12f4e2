package simtest

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/daemonpod"
)

// recorded is a plan where it is in the log.
type recorded struct {
	seq  events.Seq
	plan *events.Plan
}

// audit checks the whole log: at every position what must hold there, and
// every plan at the position that it was decided from. It returns the
// violation with the smallest position.
func (h *History) audit() *Violation {
	plans := map[events.Seq][]recorded{}
	for _, e := range h.entries {
		if p, ok := e.Body.(*events.Plan); ok {
			if p.Basis.Seq >= e.Seq {
				return violation("L4", e.Seq, "decided from position %d, which comes later", p.Basis.Seq)
			}
			plans[p.Basis.Seq] = append(plans[p.Basis.Seq], recorded{e.Seq, p})
			h.notePlan(p)
		}
	}
	var first *Violation
	note := func(v *Violation) {
		if v != nil && (first == nil || v.Seq < first.Seq) {
			first = v
		}
	}
	b := newModel()
	for _, e := range h.entries {
		note(b.before(e))
		b.forgetRecovered(e)
		disrupted := b.disrupts(e)
		b.take(e)
		note(b.checkDisruption(disrupted, e))
		note(b.instant(h, e))
		for _, p := range plans[e.Seq] {
			note(h.judge(b, p))
		}
		if first != nil && e.Seq >= first.Seq {
			break
		}
	}
	if first != nil {
		return first
	}
	if v := h.decideAgain(b); v != nil || !h.checkAll {
		return v
	}
	return h.rollouts()
}

// decideAgain decides every plan again and looks at what was never answered.
func (h *History) decideAgain(b *model) *Violation {
	again, err := replay.Verify(context.Background(), h.log)
	if err != nil {
		return violation("L4", h.last(), "verify: %v", err)
	}
	found := again.Quarantined
	for _, d := range again.Differences {
		if d.Quarantined == nil || !h.entries[d.Seq-1].forged {
			return violation("L4", d.Seq, "decided again: %v", d)
		}
		found++
	}
	for _, q := range again.Passed {
		if !h.entries[q.Seq-1].forged {
			return violation("L11", q.Seq, "nothing of it is forged, and it is quarantined: %s: %s", q.Code, q.Why)
		}
	}
	if forged := h.forgedUpTo(h.last()); found != forged {
		return violation("L11", h.last(), "%d events are forged, verify found %d", forged, found)
	}
	for _, c := range b.open {
		if h.broken == nil {
			return violation("L5", c.cause.Seq, "command %d (%s %s) was never answered", c.cause.Index, c.Do, c.Name)
		}
	}
	return h.explain()
}

// before checks a record against what was known before it.
func (b *model) before(e entry) *Violation {
	if p, ok := e.Body.(*events.Plan); ok {
		if s := b.named[p.Owner.Key]; s != nil && s.plan > p.Basis.Seq {
			return violation("L13", e.Seq, "planned from position %d without knowing plan #%d", p.Basis.Seq, s.plan)
		}
		for i, c := range p.Commands {
			if at, twice := b.made[c.UID]; c.Do == events.CreatePod && twice {
				return violation("S10", e.Seq, "command %d makes pod %s again that #%d.%d makes", i, c.Name, at.Seq, at.Index)
			}
		}
	}
	if e.Cause.IsZero() {
		return nil
	}
	c := b.cmds[e.Cause]
	switch {
	case c == nil:
		return violation("L4", e.Seq, "names a command that is not in the log before it")
	case c.answers > 0:
		return violation("L5", e.Seq, "answers command #%d.%d again", e.Cause.Seq, e.Cause.Index)
	}
	return b.overwrites(e)
}

// overwrites checks that a command which changes a pod changes the pod that is
// there, and undoes nothing that happened to it since the executor looked: the
// fence of the pod is for that.
func (b *model) overwrites(e entry) *Violation {
	pod, ok := e.object.(*corev1.Pod)
	if !ok || e.forged || e.Type != events.ObjectType(events.Pod, events.VerbUpdated) {
		return nil
	}
	was := b.pods[events.RefOf(e.Event).Key]
	switch {
	case was == nil || was.UID != pod.UID:
		return violation("FENCE", e.Seq, "changes pod %s, which is not there", pod.Name)
	case !maps.Equal(was.Labels, pod.Labels) || !equality.Semantic.DeepEqual(was.Status, pod.Status):
		return violation("FENCE", e.Seq, "undoes what happened to pod %s", pod.Name)
	}
	return nil
}

// instant checks what must hold at every position: no cell has more live pods,
// made or being made, than its DaemonSet may have there (S1).
func (b *model) instant(h *History, e entry) *Violation {
	switch e.Body.(type) {
	case *events.Plan:
	case events.Object:
		if events.RefOf(e.Event).Kind != events.Pod {
			return nil
		}
	default:
		return nil
	}
	type slot struct {
		set types.UID
		cellKey
		revision string
	}
	count := map[slot]int{}
	add := func(set types.UID, k cellKey, revision string) *Violation {
		s := b.sets[set]
		if s == nil {
			return nil
		}
		limit := 1
		if s.surged {
			limit = 2
		}
		one, all := slot{set, k, revision}, slot{set, k, ""}
		count[one]++
		count[all]++
		switch {
		case count[all] > limit:
			return violation("S1", e.Seq, "%s has %d pods on %s (%s), made or being made", s.key, count[all], k.node, k.uid)
		case count[one] > 1:
			return violation("S1", e.Seq, "%s has %d pods of revision %s on %s", s.key, count[one], revision, k.node)
		}
		return nil
	}
	for _, k := range b.keys {
		p := b.pods[k]
		if p.genuine && p.DeletionTimestamp == nil && !finished(p.Pod) {
			if v := add(p.owner, p.cell, p.Labels[daemonpod.RevisionLabel]); v != nil {
				return v
			}
		}
	}
	b.noteOverlap(h, events.RefOf(e.Event).Key)
	for _, c := range b.open {
		if c.Do == events.CreatePod {
			if v := add(c.set, cellKey{c.Node, c.NodeUID}, c.Revision); v != nil {
				return v
			}
		}
	}
	return nil
}

// noteOverlap notes an available pod beside a terminating one of a surge.
func (b *model) noteOverlap(h *History, k events.Key) {
	p := b.pods[k]
	if p == nil || p.DeletionTimestamp == nil {
		return
	}
	s := b.sets[p.owner]
	if s == nil || !surging(s.DaemonSet) {
		return
	}
	for _, k := range b.keys {
		if q := b.pods[k]; q.owner == p.owner && q.cell == p.cell && q.DeletionTimestamp == nil && s.available(q, b.now) {
			h.seen.add(seenSurgeOverlap)
		}
	}
}

func (c *commandModel) String() string { return fmt.Sprintf("%s %s on %s", c.Do, c.Name, c.Node) }
