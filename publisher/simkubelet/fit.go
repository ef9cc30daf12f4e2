package simkubelet

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// misfit returns why the scheduler does not bind p to a host that has a node:
// nothing, one reason, or everything that the node has not enough of. The
// reasons are the scheduler's own, and so is their order.
func (w *World) misfit(p *pod, h *host) []string {
	n := h.node
	if n.unschedulable && !tolerated(p.object().Spec.Tolerations, &cordoned) {
		return []string{"node(s) were unschedulable"}
	}
	for i := range n.taints {
		t := &n.taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(p.object().Spec.Tolerations, t) {
			return []string{"node(s) had untolerated taint(s)"}
		}
	}
	if !p.selects(n) {
		return []string{notSelected}
	}
	used := h.used
	if p.holds && p.host == h {
		used = h.besides(p, false)
	}
	if portsTaken(&used, p.needs) {
		return []string{portsInUse}
	}
	var why []string
	for _, s := range short(n.allocatable, &used, p.needs) {
		why = append(why, s.text())
	}
	return why
}

const (
	notSelected = "node(s) didn't match Pod's node affinity/selector"
	portsInUse  = "node(s) didn't have free ports for the requested pod ports"
)

// besides returns what the pods of a host but p use of it: all of them, or those
// that its kubelet has taken.
func (h *host) besides(p *pod, taken bool) (used resources) {
	for _, other := range h.pods {
		if other != p && other.holds && (!taken || other.taken || other.under != nil && other.under.binds) {
			used.add(other.needs, 1)
		}
	}
	return used
}

var cordoned = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}

// selects reports whether a pod may run on a node by its selector and its
// required affinity.
func (p *pod) selects(n *nodeFacts) bool {
	spec := &p.object().Spec
	if len(spec.NodeSelector) == 0 && (!p.free || spec.Affinity == nil) {
		return true // pinned: this is its node
	}
	if p.wants == nil {
		a := nodeaffinity.GetRequiredNodeAffinity(p.object())
		p.wants = &a
	}
	// A term that does not parse matches nothing; the others still count.
	ok, _ := p.wants.Match(n.selectable())
	return ok
}

func tolerated(ts []corev1.Toleration, taint *corev1.Taint) bool {
	// The logger is used by the numeric operators alone, which are behind a gate that is off.
	return schedulinghelpers.TolerationsTolerateTaint(klog.Logger{}, ts, taint, false)
}

// refusal returns what the scheduler says of a pod that is pinned to its host
// and may not be bound to it, or "".
func (w *World) refusal(p *pod) string {
	if why := w.unmet(p); why != "" {
		return unavailable(w.nodes, why)
	}
	var parts []string
	for _, why := range w.misfit(p, p.host) {
		parts = append(parts, "1 "+why)
	}
	if parts == nil {
		return ""
	}
	if w.nodes > 1 {
		parts = append(parts, fmt.Sprintf("%d node(s) didn't satisfy plugin(s) [NodeAffinity]", w.nodes-1))
	}
	return unavailable(w.nodes, strings.Join(parts, ", "))
}

// unavailable is what a scheduler says when none of its nodes will do.
func unavailable(nodes int, why string) string {
	return fmt.Sprintf("0/%d nodes are available: %s.", nodes, why)
}
