package simtest

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
)

// quiesce stops all trouble, lets time pass and reports what did not come to the
// end that it should have, in the time that it should take (V1, V3, H3).
func (h *History) quiesce() *Violation {
	h.heal()
	from, deadline := h.now, h.now.Add(h.patience())
	for {
		if v := h.pump(); v != nil {
			return v
		}
		why := h.unfinished()
		if why == nil {
			break
		}
		next := h.nextDue()
		switch {
		case next.IsZero():
			why.What = "nothing is due any more, and " + why.What
			return why
		case next.After(deadline):
			why.What = "after " + h.now.Sub(from).String() + ": " + why.What
			return why
		}
		h.now = later(h.now, next)
	}
	return h.staysQuiet()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// heal ends all trouble: nodes are found, pods end, images work.
func (h *History) heal() {
	h.calm = true
	h.trouble.leave()
	h.kubelets.quota = time.Time{}
	h.holders.heal(h)
	for _, name := range sortedKeys(h.model.nodes, strings.Compare) {
		if was := h.model.nodes[name]; down(was) {
			n := was.DeepCopy()
			h.users.lose(h, n)
			h.tell("user", events.Node, events.VerbUpdated, n)
		}
	}
	for _, k := range sortedKeys(h.model.named, events.Key.Compare) {
		was := h.model.named[k]
		ds := was.DeepCopy()
		if h.whims.IntN(3) > 0 {
			for _, a := range []string{events.AnnotationPaused, events.AnnotationPartition,
				events.AnnotationSuspend, events.AnnotationCanary} {
				delete(ds.Annotations, a)
			}
			if ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
				h.users.setStrategy(h, ds)
				daemonpod.SetDaemonSetDefaults(ds)
				ds.Generation++
			}
		}
		h.tell("user", events.DaemonSet, events.VerbUpdated, ds)
	}
	// Kubelets look again at what they have.
	for _, k := range sortedKeys(h.model.pods, events.Key.Compare) {
		h.kubelets.plan(h, k, h.model.pods[k].Pod)
	}
	for _, p := range h.hosts() {
		p.lag, p.asleep = 0, time.Time{}
	}
}

// patience is how long it may take until all is at rest: every wave of every
// rollout, and the longest back-off that the failures so far can have led to.
func (h *History) patience() time.Duration {
	all := time.Minute
	for _, k := range sortedKeys(h.model.named, events.Key.Compare) {
		ds := h.model.named[k]
		wave := 30*time.Second + time.Duration(ds.Spec.MinReadySeconds)*time.Second
		nodes := len(h.model.nodes)
		unavailable, surge := budget(ds.DaemonSet, nodes)
		all += time.Duration(nodes/max(unavailable, surge, 1)+2)*wave + time.Duration(2*nodes)*time.Second
	}
	worst := 0
	for _, k := range sortedKeys(h.kubelets.fails, strings.Compare) {
		worst = max(worst, h.kubelets.fails[k])
	}
	for _, name := range sortedKeys(h.model.holds, strings.Compare) {
		all += max(0, h.model.holds[name].Until.Sub(h.logTime()))
	}
	return all + min(15*time.Minute, time.Second<<min(worst, 12))
}

// soon is how far time goes on within one pumping.
const soon = 10 * time.Millisecond

// idleRounds is after how many rounds without a record a controller that has
// work is at a loss.
const idleRounds = 20

// pump lets everybody do what is due, until nothing is.
func (h *History) pump() *Violation {
	for idle := 0; ; {
		before := h.last()
		for _, p := range h.hosts() {
			for n := 1 + h.order.IntN(8); n > 0 && p.act(); n-- {
			}
		}
		h.kubelets.turn(h, 1<<10)
		if h.broken != nil {
			return h.broken
		}
		switch {
		case h.last() > before:
			idle = 0
		case !h.busy():
			if next := h.nextDue(); next.IsZero() || next.Sub(h.now) > soon {
				return nil
			} else {
				h.now = next
			}
		default:
			idle++
		}
		if idle > idleRounds {
			return violation("V10", h.last(), "a controller wants what the log always refuses, or waits for what never comes")
		}
		if len(h.entries) > maxRecords+quiesceRecords {
			return violation("H4", h.last(), "no end of records though nothing happens")
		}
	}
}

// busy reports whether a controller or an executor has more to do now.
func (h *History) busy() bool {
	return slices.ContainsFunc(h.hosts(), func(p *host) bool {
		at, ok := p.nextDue()
		return ok && !at.After(h.now)
	})
}

// hosts are those of the controllers and the executors.
func (h *History) hosts() []*host { return slices.Concat(h.managers, h.executors) }

// nextDue returns when somebody has something to do; zero: never.
func (h *History) nextDue() time.Time {
	next := h.kubelets.due(h)
	for _, p := range h.hosts() {
		if at, ok := p.nextDue(); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// staysQuiet lets 1,000 seconds pass, starts every controller again once, so
// that it looks at everything, and expects no plan (H3).
func (h *History) staysQuiet() *Violation {
	from, at := h.now, h.last()
	for _, s := range []int{1, 2, 5, 10, 30, 60, 120, 300, 599, 601, 900, 1000} {
		h.now = later(h.now, from.Add(time.Duration(s)*time.Second))
		if s == 599 {
			for _, p := range h.managers {
				p.restart()
			}
		}
		if v := h.pump(); v != nil {
			return v
		}
	}
	writes := 0
	for _, e := range h.entries[at:] {
		switch {
		case e.Type == events.Planned:
			return violation("H3", e.Seq, "a plan after all was at rest")
		case e.Source == controller.Source:
			writes++
		}
	}
	// A rollout that a partition or a pause holds may be told to be stalled, once;
	// two controllers whose clocks differ may first disagree about that.
	if limit := len(h.model.named) * (4*len(h.managers) - 3); writes > limit {
		return violation("H3", h.last(), "%d writes after all was at rest", writes)
	}
	for _, p := range h.managers {
		h.check(p.state)
	}
	if h.broken != nil {
		return h.broken
	}
	if v := h.unfinished(); v != nil {
		v.What = "no longer at rest: " + v.What
		return v
	}
	return nil
}
