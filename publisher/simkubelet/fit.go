package simkubelet

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// resources are what pods use of a host.
type resources struct {
	milliCPU int64
	memory   int64 // bytes
	pods     int64
}

func (r *resources) add(o resources) {
	r.milliCPU += o.milliCPU
	r.memory += o.memory
	r.pods += o.pods
}

func (r resources) negative() resources { return resources{-r.milliCPU, -r.memory, -r.pods} }

func requestsOf(p *corev1.Pod) resources {
	l := resource.PodRequests(p, resource.PodResourcesOptions{})
	return resources{l.Cpu().MilliValue(), l.Memory().Value(), 1}
}

// lacks returns what a node that has l, of which used is taken, cannot give;
// a resource that the node does not name has no bound.
func lacks(l corev1.ResourceList, used, needs resources) string {
	for _, r := range []struct {
		name        corev1.ResourceName
		used, needs int64
		word        string
	}{
		{corev1.ResourcePods, used.pods, needs.pods, "Too many pods"},
		{corev1.ResourceCPU, used.milliCPU, needs.milliCPU, "Insufficient cpu"},
		{corev1.ResourceMemory, used.memory, needs.memory, "Insufficient memory"},
	} {
		q, bounded := l[r.name]
		has := q.Value()
		if r.name == corev1.ResourceCPU {
			has = q.MilliValue()
		}
		if bounded && r.needs > 0 && r.used+r.needs > has {
			return r.word
		}
	}
	return ""
}

// misfit returns why the scheduler does not bind p to a host that has a node,
// or "". The reasons are the scheduler's own, and so is their order.
func (w *World) misfit(p *pod, h *host) string {
	n := h.node
	if n.Spec.Unschedulable && !tolerated(p.object.Spec.Tolerations, &cordoned) {
		return "node(s) were unschedulable"
	}
	for i := range n.Spec.Taints {
		t := &n.Spec.Taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(p.object.Spec.Tolerations, t) {
			return "node(s) had untolerated taint(s)"
		}
	}
	if !p.selects(n) {
		return "node(s) didn't match Pod's node affinity/selector"
	}
	used := h.used
	if p.holds && p.host == h {
		used.add(p.needs.negative())
	}
	return lacks(n.Status.Allocatable, used, p.needs)
}

var cordoned = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}

// selects reports whether a pod may run on a node by its selector and its
// required affinity.
func (p *pod) selects(n *corev1.Node) bool {
	spec := &p.object.Spec
	if len(spec.NodeSelector) == 0 && (!p.free || spec.Affinity == nil) {
		return true // pinned: this is its node
	}
	if p.wants == nil {
		a := nodeaffinity.GetRequiredNodeAffinity(p.object)
		p.wants = &a
	}
	// A term that does not parse matches nothing; the others still count.
	ok, _ := p.wants.Match(n)
	return ok
}

func tolerated(ts []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range ts {
		t := &ts[i]
		if (t.Effect == "" || t.Effect == taint.Effect) && (t.Key == "" || t.Key == taint.Key) &&
			(t.Operator == corev1.TolerationOpExists ||
				(t.Operator == "" || t.Operator == corev1.TolerationOpEqual) && t.Value == taint.Value) {
			return true
		}
	}
	return false
}

// refusal returns what the scheduler says of a pod that is pinned to its host
// and may not be bound to it, or "".
func (w *World) refusal(p *pod) string {
	if why := w.unmet(p); why != "" {
		return unavailable(w.nodes, why)
	}
	why := w.misfit(p, p.host)
	if why == "" {
		return ""
	}
	why = "1 " + why
	if w.nodes > 1 {
		why += fmt.Sprintf(", %d node(s) didn't satisfy plugin(s) [NodeAffinity]", w.nodes-1)
	}
	return unavailable(w.nodes, why)
}

// unavailable is what a scheduler says when none of its nodes will do.
func unavailable(nodes int, why string) string {
	return fmt.Sprintf("0/%d nodes are available: %s.", nodes, why)
}
