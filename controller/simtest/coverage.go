package simtest

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/projector/story"
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
	seenHeld
	seenHeldNode
	seenHoldEnd
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
	"a plan copied", "a fact copied, or one that cannot be",
	"held from outside", "rolled on while some node was held", "a hold ended by itself"}

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

// notePlan counts a plan and what it tells of.
func (h *History) notePlan(p *events.Plan) {
	h.plans++
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
		case events.HeldHold:
			h.seen.add(seenHeld)
			if p.Rollout.Taken+p.Rollout.Added > 0 {
				h.seen.add(seenHeldNode)
			}
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

// Print tells the last n records up to a position as rollcall log does.
func (r Result) Print(until events.Seq, n int) string {
	teller, out := story.New(), ""
	for _, e := range r.history.entries[:until] {
		for _, line := range teller.Tell(e.Event) {
			if int(e.Seq)+n > int(until) {
				out += story.Line(line) + "\n"
			}
		}
	}
	return out
}
