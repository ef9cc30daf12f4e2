package simkubelet

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// The stages of a node.
const (
	nodeAway      stage = "away"      // there is none, or another world's
	nodeLosing    stage = "losing"    // marked as lost next
	nodeLost      stage = "lost"      // marked; does not answer
	nodeCordoning stage = "cordoning" // its taint follows spec.unschedulable next
	nodeJoining   stage = "joining"   // Ready next
	nodeCounting  stage = "counting"  // what somebody gave it can be allocated next
	nodeReady     stage = "ready"
)

// nodeStage returns what a node does now, and when its step is due.
func (w *World) nodeStage(h *host) due {
	n := h.node
	switch {
	case !h.simulated() || n.foreign:
		return atRest(nodeAway)
	case h.lost() && !n.markedLost():
		return after(nodeLosing, 0)
	case n.unschedulable != n.tainted(corev1.TaintNodeUnschedulable):
		return after(nodeCordoning, 0)
	case h.lost():
		return atRest(nodeLost)
	case !n.joined():
		return after(nodeJoining, w.delay(w.options.Join, &h.item, "join"))
	case n.uncounted:
		return after(nodeCounting, w.delay(w.options.Join, &h.item, "count"))
	}
	return atRest(nodeReady)
}

func (w *World) nodeStep(h *host, now time.Time) *Step {
	n := new(corev1.Node)
	if (events.Object{Ref: h.ref, Data: h.node.data}).Decode(n) != nil {
		return nil // it was decoded when it was observed
	}
	at := stamp(now)
	switch h.stage {
	case nodeLosing:
		loseNode(n, at)
	case nodeCordoning:
		setTaint(n, corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule, n.Spec.Unschedulable, at)
	case nodeJoining:
		joinNode(n, at)
	case nodeCounting:
		for _, name := range uncounted(n) {
			n.Status.Allocatable[name] = n.Status.Capacity[name].DeepCopy()
		}
	default:
		return nil
	}
	return w.becomes(&h.item, events.VerbUpdated, n, now)
}

// uncounted returns the extended resources of which a node can allocate not
// just what it has: somebody wrote its capacity, as for devices that no plugin
// reports, and its kubelet takes that over.
func uncounted(n *corev1.Node) (names []corev1.ResourceName) {
	for _, name := range slices.Sorted(maps.Keys(n.Status.Capacity)) {
		has, can := n.Status.Capacity[name], n.Status.Allocatable[name]
		if extended(name) && n.Status.Allocatable != nil && has.Cmp(can) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// stamp is a time as Kubernetes writes it.
func stamp(now time.Time) metav1.Time { return metav1.NewTime(now.UTC().Truncate(time.Second)) }

// setTaint puts the taint of key and effect on, or takes it off.
func setTaint(n *corev1.Node, key string, effect corev1.TaintEffect, on bool, at metav1.Time) {
	is := func(t corev1.Taint) bool { return t.Key == key && t.Effect == effect }
	if on && !slices.ContainsFunc(n.Spec.Taints, is) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect, TimeAdded: ptr.To(at)})
	}
	if !on {
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, is)
	}
}

func ready(n *corev1.Node) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return ""
}

// nodeConditions are what a kubelet reports, with the reasons of a good state.
var nodeConditions = []struct {
	kind            corev1.NodeConditionType
	good            corev1.ConditionStatus
	reason, message string
}{
	{corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
	{corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
	{corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
	{corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"},
}

func setNodeCondition(n *corev1.Node, c corev1.NodeCondition, at metav1.Time) {
	c.LastTransitionTime, c.LastHeartbeatTime = at, at
	for i := range n.Status.Conditions {
		if old := &n.Status.Conditions[i]; old.Type == c.Type {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			*old = c
			return
		}
	}
	n.Status.Conditions = append(n.Status.Conditions, c)
}

// loseNode marks a node as its controller does when its kubelet is silent.
func loseNode(n *corev1.Node, at metav1.Time) {
	for _, c := range nodeConditions {
		setNodeCondition(n, corev1.NodeCondition{Type: c.kind, Status: corev1.ConditionUnknown,
			Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status."}, at)
	}
	for _, effect := range []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute} {
		setTaint(n, corev1.TaintNodeNotReady, effect, false, at)
		setTaint(n, corev1.TaintNodeUnreachable, effect, true, at)
	}
}

// joinNode makes a node Ready, and fills in what its kubelet would report.
func joinNode(n *corev1.Node, at metav1.Time) {
	for _, c := range nodeConditions {
		setNodeCondition(n, corev1.NodeCondition{Type: c.kind, Status: c.good, Reason: c.reason, Message: c.message}, at)
	}
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
	})
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	for k, v := range sorted(kubeletLabels(n.Name)) {
		if _, ok := n.Labels[k]; !ok {
			n.Labels[k] = v
		}
	}
	if n.Status.Capacity == nil {
		n.Status.Capacity = capacity("4", "16Gi")
	}
	if n.Status.Allocatable == nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	if len(n.Status.Addresses) == 0 {
		n.Status.Addresses = nodeAddresses(n.Name)
	}
	if n.Status.NodeInfo.KubeletVersion == "" {
		n.Status.NodeInfo = nodeInfo(n.Name)
	}
}

func capacity(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(cpu),
		corev1.ResourceMemory:           resource.MustParse(memory),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
}
