package simtest

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// Occasion is what a campaign has to have met to mean anything.
type Occasion int

const (
	seenCrashBeforeAck Occasion = iota
	seenRestart
	seenStaleWhileRolling
	seenReaddWhileRolling
	seenForwardWhileRolling
	seenBackWhileRolling
	seenPercentToZero
	seenSurgeOverlap
	seenUnreadyInsideMinReady
	seenTwice
	seenTwoControllers
	seenConflict
	seenRefusal
	seenStuck
	seenBackoff
	seenAdoption
	seenRelease
	seenPredecessor
	seenPartition
	seenPaused
	seenDuplicate
	seenDeletedWhileCreating
	seenCanary
	seenClockBack
	seenLeaderBehind
	seenForgedPlan
	seenForgedFact
	occasions
)

var occasionNames = [occasions]string{"crash between append and ack", "restart", "16 records behind while rolling",
	"same node name again while rolling", "new template while rolling", "roll back while rolling",
	"percentage resolves to 0 before rounding", "new surge pod available while the old one terminates",
	"unready inside minReadySeconds", "command carried out twice", "two controllers planned", "fence lost",
	"create refused", "stuck terminating", "held by back-off", "pod adopted", "pod released", "held by a predecessor",
	"held by a partition", "held by a pause", "duplicate deleted",
	"DaemonSet deleted while its pods are being made",
	"held because no canary", "the log's clock put back", "a leader whose clock is behind",
	"a plan copied", "a fact copied, or one that cannot be"}

func (s Occasion) String() string { return occasionNames[s] }

// Coverage counts, for one history, what was met.
type Coverage [occasions]int

func (s *Coverage) add(x Occasion) { s[x]++ }

// Sum adds those of another history: each history counts once.
func (s *Coverage) Sum(o Coverage) {
	for i, n := range o {
		if n > 0 {
			s[i]++
		}
	}
}

// rolling reports whether some DaemonSet's rollout is under way, by its status.
func (h *History) rolling() bool {
	for _, k := range sortedKeys(h.model.named, events.Key.Compare) {
		if unrolled(h.model.named[k].DaemonSet) {
			return true
		}
	}
	return false
}

func unrolled(ds *appsv1.DaemonSet) bool {
	s := ds.Status
	return s.ObservedGeneration > 0 && s.UpdatedNumberScheduled < s.DesiredNumberScheduled && s.UpdatedNumberScheduled > 0
}

func (h *History) noteStale(p *host) {
	if p.state != nil && int(p.read)+16 <= len(h.entries) && h.rolling() {
		h.seen.add(seenStaleWhileRolling)
	}
}

// noteTwice notes an answer to a command that was answered.
func (h *History) noteTwice(e events.Event) {
	if c := h.model.cmds[e.Cause]; c != nil && c.answers > 0 {
		h.seen.add(seenTwice)
	}
}

func (h *History) noteReadd() {
	if h.rolling() {
		h.seen.add(seenReaddWhileRolling)
	}
}

func (h *History) noteNewTemplate(ds *appsv1.DaemonSet, back bool) {
	switch {
	case !unrolled(ds):
	case back:
		h.seen.add(seenBackWhileRolling)
	default:
		h.seen.add(seenForwardWhileRolling)
	}
}

func (h *History) noteFlap(p *corev1.Pod) {
	for _, k := range sortedKeys(h.model.named, events.Key.Compare) {
		ds := h.model.named[k].DaemonSet
		since := p.Status.Conditions[0].LastTransitionTime.Time
		if ownerOf(p) == ds.UID && h.now.Sub(since).Seconds() < float64(ds.Spec.MinReadySeconds) {
			h.seen.add(seenUnreadyInsideMinReady)
		}
	}
}

// notePlan counts what a plan tells of.
func (h *History) notePlan(p *events.Plan) {
	for _, w := range p.Held {
		switch w.For {
		case events.HeldBackoff:
			h.seen.add(seenBackoff)
		case events.HeldPredecessor:
			h.seen.add(seenPredecessor)
		case events.HeldPartition:
			h.seen.add(seenPartition)
		case events.HeldCanary:
			h.seen.add(seenCanary)
		case events.HeldPaused:
			h.seen.add(seenPaused)
		}
	}
	for _, c := range p.Commands {
		switch c.Reason {
		case events.Selected:
			h.seen.add(seenAdoption)
		case events.NotSelected:
			h.seen.add(seenRelease)
		case events.Duplicate:
			h.seen.add(seenDuplicate)
		}
	}
}

// Print returns the last n records of a history, one a line.
func (r Result) Print(n int) string {
	h := r.history
	out := ""
	for _, e := range h.entries[max(0, len(h.entries)-n):] {
		out += describe(e) + "\n"
	}
	return out
}

// PrintUntil returns the n records up to a position, one a line.
func (r Result) PrintUntil(seq events.Seq, n int) string {
	out := ""
	for _, e := range r.history.entries {
		if e.Seq <= seq && int(e.Seq)+n > int(seq) {
			out += describe(e) + "\n"
		}
	}
	return out
}

func describe(e entry) string {
	ref := events.RefOf(e.Event)
	head := fmt.Sprintf("#%-4d %9.3fs %-24s %s", e.Seq, e.real.Sub(epoch).Seconds(), e.Type, ref.Key.Name)
	if !e.Cause.IsZero() {
		head += fmt.Sprintf(" <- #%d.%d", e.Cause.Seq, e.Cause.Index)
	}
	switch b := e.Body.(type) {
	case *events.Plan:
		head += fmt.Sprintf(" basis #%d %.3fs %s %+v held %v", b.Basis.Seq, b.Basis.Now.Sub(epoch).Seconds(), b.Owner.UID, b.Rollout, b.Held)
		for i, c := range b.Commands {
			head += fmt.Sprintf("\n        .%d %s %s on %s(%s) %s %s", i, c.Do, c.Name, c.Node, c.NodeUID, c.Revision, c.Reason)
		}
	case events.Outcome:
		head += fmt.Sprintf(" %s %s: %s", b.Command.Do, b.Command.Name, b.Reason)
	}
	switch o := e.object.(type) {
	case *corev1.Pod:
		target, _ := daemonpod.TargetNode(&o.Spec)
		head += fmt.Sprintf(" on %s bound=%v %s ready=%v deleting=%v owner=%s rev=%s app=%s", target, o.Spec.NodeName != "",
			o.Status.Phase, isReady(o), o.DeletionTimestamp != nil, ownerOf(o), o.Labels[daemonpod.RevisionLabel], o.Labels["app"])
	case *corev1.Node:
		head += fmt.Sprintf(" %s %v taints %v", o.UID, o.Labels, o.Spec.Taints)
	case *appsv1.DaemonSet:
		head += describeSet(o)
	case *appsv1.ControllerRevision:
		head += fmt.Sprintf(" number %d owner %v", o.Revision, o.OwnerReferences)
	}
	return head
}

func describeSet(o *appsv1.DaemonSet) string {
	s := o.Status
	ru := ""
	if u := o.Spec.UpdateStrategy.RollingUpdate; u != nil {
		ru = fmt.Sprintf("(%s,%s)", u.MaxUnavailable, u.MaxSurge)
	}
	return fmt.Sprintf(" %s gen %d %s %s%s minReady %d %v %v %v deleting=%v status desired %d scheduled %d ready %d updated %d available %d mis %d",
		o.UID, o.Generation, o.Spec.Template.Spec.Containers[0].Image, o.Spec.UpdateStrategy.Type, ru, o.Spec.MinReadySeconds,
		o.Annotations, o.Spec.Template.Spec.NodeSelector, o.Spec.Template.Spec.Tolerations, o.DeletionTimestamp != nil,
		s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.NumberReady, s.UpdatedNumberScheduled, s.NumberAvailable, s.NumberMisscheduled) +
		describeConditions(s)
}

func describeConditions(s appsv1.DaemonSetStatus) (out string) {
	for _, c := range s.Conditions {
		out += fmt.Sprintf(" [%s=%s %s since %.0fs: %s]", c.Type, c.Status, c.Reason, c.LastTransitionTime.Sub(epoch).Seconds(), c.Message)
	}
	return out
}
