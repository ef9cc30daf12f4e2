package simkubelet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"
)

// binder gives a host to the pods that are pinned to none: of those that fit
// the one with the fewest pods, of these the first by name.
//
// A pod that fits nowhere is told so once, and from then on is tried only on
// hosts that changed: a change costs a look at each pod that waits, and a try
// one at each such host, however many hosts there are.
type binder struct {
	hosts *btree.BTreeG[*host] // that take pods, least loaded first; nil until it is first asked for
	stuck *btree.BTreeG[*pod]  // pods that fit on no host but, perhaps, on those of their offers, by key
}

// use changes what the pods of a host take of it.
func (w *World) use(h *host, r *resources, times int64) {
	h.used.add(r, times)
	w.rank(h)
}

// need keeps what a pod needs of its host, which common says until it is resized;
// nil: its spec is what it was.
func (w *World) need(p *pod, common *spec) {
	if common == nil && p.object().Generation <= 1 {
		return
	}
	if p.holds {
		w.use(p.host, p.needs, -1)
	}
	if p.object().Generation > 1 {
		p.needs = requestsOf(p.object())
	} else {
		p.needs = common.needs
	}
	if p.holds {
		w.use(p.host, p.needs, 1)
	}
}

// account adds what a pod needs to what is used of its host from when the pod is
// bound, or about to be, and takes it off when the pod has ended.
func (w *World) account(p *pod, now time.Time) {
	holds := p.host != nil && !p.over && (p.bound || p.under != nil && p.under.binds)
	if holds == p.holds {
		return
	}
	p.holds = holds
	if holds {
		w.use(p.host, p.needs, 1)
		return
	}
	w.use(p.host, p.needs, -1)
	w.armPods(p.host, now)
}

// rank puts a host where it belongs in the binder's list.
func (w *World) rank(h *host) {
	hosts := w.binder.hosts
	if hosts == nil || h.ranked == h.takes() && h.load == h.used.of(corev1.ResourcePods) {
		return
	}
	if h.ranked {
		hosts.Delete(h)
	}
	h.ranked, h.load = h.takes(), h.used.of(corev1.ResourcePods)
	if h.ranked {
		hosts.Set(h)
	}
}

// takes reports whether the binder may give pods to a host: those that a source
// tells of run what their own scheduler has bound.
func (h *host) takes() bool { return h.simulated() || h.real() }

// ranked returns the hosts that take pods, least loaded first. A world in which all
// pods are pinned never asks, and so never sorts them.
func (w *World) ranked() *btree.BTreeG[*host] {
	if w.binder.hosts == nil {
		w.binder.hosts = btree.NewBTreeGOptions(func(a, b *host) bool {
			return cmp.Or(cmp.Compare(a.load, b.load), strings.Compare(a.ref.Key.Name, b.ref.Key.Name)) < 0
		}, btree.Options{NoLocks: true})
		for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
			w.rank(w.hosts[name])
		}
	}
	return w.binder.hosts
}

// freeStage returns what a pod does whose host the binder chooses.
func (w *World) freeStage(p *pod) due {
	o := p.object()
	switch {
	case ended(o) || o.Spec.SchedulerName != "" && o.Spec.SchedulerName != corev1.DefaultSchedulerName:
		return atRest(podAway)
	case len(o.Spec.SchedulingGates) > 0:
		return atRest(podGated)
	case p.stuck && len(p.offers) == 0:
		return atRest(podStuck)
	}
	return after(podQueued, w.podDelay(w.options.Bind, p, "bind"))
}

// schedule returns the step by which a pod gets a host or is told that there
// is none, or nil if it was told before.
func (w *World) schedule(p *pod, now time.Time) *Step {
	why := w.unmet(p)
	var h *host
	if why == "" {
		h = w.pick(p)
	}
	if h == nil && marked(p.object()) {
		w.stick(p)
		w.armPod(p, p.since)
		return nil
	}
	o := p.draft()
	c := change{pod: o, at: stamp(now)}
	if h == nil {
		c.unfit(w.nowhere(p, why))
	} else {
		w.move(p, h, now)
		w.bind(&c, p, h)
	}
	return w.changeStep(p, o, h != nil, now)
}

// fits reports whether the binder may give h to p.
func (w *World) fits(p *pod, h *host) bool { return w.misfit(p, h) == nil && h.answers() }

// answers reports whether the node of a host is Ready: a pod can tolerate
// every taint of one that is not.
func (h *host) answers() bool { return h.node.ready == corev1.ConditionTrue && !h.silent() }

// pick returns the host for a pod, or nil if it fits on none.
func (w *World) pick(p *pod) (best *host) {
	if p.stuck {
		for _, name := range p.offers {
			h := w.hosts[name]
			if h != nil && h.takes() && w.fits(p, h) &&
				(best == nil || cmp.Or(cmp.Compare(h.used.of(corev1.ResourcePods), best.used.of(corev1.ResourcePods)), strings.Compare(name, best.ref.Key.Name)) < 0) {
				best = h
			}
		}
		return best
	}
	w.ranked().Scan(func(h *host) bool {
		if w.fits(p, h) {
			best = h
		}
		return best == nil
	})
	return best
}

// nowhere says why a pod fits on no host, as a scheduler does: for what of its
// own, or for how many nodes each reason holds.
func (w *World) nowhere(p *pod, own string) string {
	switch {
	case w.nodes == 0:
		return "no nodes available to schedule pods"
	case own != "":
		return unavailable(w.nodes, own)
	}
	others := "node(s) were told by a source"
	if w.options.Unscheduled {
		others = "node(s) were not simulated"
	}
	counts := map[string]int{others: w.nodes - w.ranked().Len()}
	w.ranked().Scan(func(h *host) bool {
		why := w.misfit(p, h)
		if why == nil {
			why = []string{"node(s) were not ready"}
		}
		for _, each := range why {
			counts[each]++
		}
		return true
	})
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[why]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, why))
		}
	}
	slices.Sort(parts) // as text, number first
	return unavailable(w.nodes, strings.Join(parts, ", "))
}

// stick makes a pod wait until a host changes so that it fits.
func (w *World) stick(p *pod) {
	p.stuck, p.offers = true, nil
	if w.binder.stuck == nil {
		w.binder.stuck = btree.NewBTreeGOptions(func(a, b *pod) bool { return a.ref.Key.Compare(b.ref.Key) < 0 },
			btree.Options{NoLocks: true})
	}
	w.binder.stuck.Set(p)
}

// unstick has a pod tried on every host again.
func (w *World) unstick(p *pod) {
	if p.stuck {
		w.binder.stuck.Delete(p)
		p.stuck, p.offers = false, nil
	}
}

// offer has the pods that wait for a host tried on one that changed.
func (w *World) offer(h *host, now time.Time) {
	if w.binder.stuck == nil || w.binder.stuck.Len() == 0 || !h.takes() {
		return
	}
	w.binder.stuck.Scan(func(p *pod) bool {
		if name := h.ref.Key.Name; w.unmet(p) == "" && w.fits(p, h) && !slices.Contains(p.offers, name) {
			p.offers = append(p.offers, name)
			w.armPod(p, now)
		}
		return true
	})
}
