package simkubelet

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
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

func (r *resources) sub(o resources) {
	r.add(resources{-o.milliCPU, -o.memory, -o.pods})
}

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

// misfit returns why the scheduler does not bind p to its host, or "".
func (w *World) misfit(p *pod) string {
	n := p.host.node
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(p.object.Spec.Tolerations, &t) {
			return fmt.Sprintf("node(s) had untolerated taint {%s: %s}", t.Key, t.Value)
		}
	}
	for k, v := range sorted(p.object.Spec.NodeSelector) {
		if have, ok := n.Labels[k]; !ok || have != v {
			return "node(s) didn't match Pod's node affinity/selector"
		}
	}
	used := p.host.used
	if p.holds {
		used.sub(p.needs)
	}
	return lacks(n.Status.Allocatable, used, p.needs)
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

// unschedulable is what a scheduler says of a pod that is pinned to one of so
// many nodes and does not fit there.
func unschedulable(nodes int, misfit string) string {
	parts := []string{"1 " + misfit}
	if nodes > 1 {
		parts = append(parts, fmt.Sprintf("%d node(s) didn't satisfy plugin(s) [NodeAffinity]", nodes-1))
	}
	return fmt.Sprintf("0/%d nodes are available: %s.", max(nodes, 1), strings.Join(parts, ", "))
}
