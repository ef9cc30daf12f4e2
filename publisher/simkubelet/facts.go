package simkubelet

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/wire"
)

// nodeFacts are what a scheduler and a kubelet ask of a node. They are a
// quarter of the node, of which there may be a hundred thousand.
type nodeFacts struct {
	name          string
	data          []byte            // of the node, in the log
	labels        map[string]string // nil until a selector asks for them
	simulated     bool
	real          bool // it has a kubelet of its own, and pods are bound to it
	foreign       bool // the kubelet on it is of Options.Everywhere: it leaves the node as it is
	taints        []corev1.Taint
	unschedulable bool
	lost          bool // the simulated node does not answer
	ready         corev1.ConditionStatus
	address       string
	allocatable   corev1.ResourceList // shared by nodes that have the same
	uncounted     bool                // it has more of something than can be allocated
}

func (w *World) factsOf(n *corev1.Node, data []byte) *nodeFacts {
	f := &nodeFacts{name: n.Name, data: data, simulated: n.Labels[events.LabelSimulated] == "true",
		taints: slices.Concat(n.Spec.Taints), unschedulable: n.Spec.Unschedulable, // nil if there are none
		lost: n.Annotations[events.AnnotationFail] == "true", ready: ready(n), uncounted: len(uncounted(n)) > 0,
		allocatable: w.shared(n.Status.Allocatable)}
	if w.options.Everywhere && !f.simulated {
		f.simulated, f.foreign, f.lost = true, true, f.ready != corev1.ConditionTrue
	}
	f.real = !f.simulated && !w.options.Unscheduled && events.RealNode(data)
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && f.address == "" {
			f.address = a.Address
		}
	}
	return f
}

// shared returns a list that is equal to l, the same for all that are equal.
func (w *World) shared(l corev1.ResourceList) corev1.ResourceList {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l)) {
		q := l[name]
		key.WriteString(string(name) + "=" + q.String() + ",")
	}
	return remember(w.lists, key.String(), func() corev1.ResourceList { return l })
}

// selectable returns as much of the node as selectors and affinity look at.
func (f *nodeFacts) selectable() *corev1.Node {
	if f.labels == nil {
		_ = wire.Unmarshal(wire.Field(wire.Field(f.data, "metadata"), "labels"), &f.labels) // as when it was observed
	}
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: f.name, Labels: f.labels}}
}

func (f *nodeFacts) tainted(key string) bool {
	return slices.ContainsFunc(f.taints, func(t corev1.Taint) bool { return t.Key == key })
}

func (f *nodeFacts) markedLost() bool {
	return f.ready == corev1.ConditionUnknown && f.tainted(corev1.TaintNodeUnreachable)
}

func (f *nodeFacts) joined() bool {
	return f.ready == corev1.ConditionTrue && !f.tainted(corev1.TaintNodeNotReady) && !f.tainted(corev1.TaintNodeUnreachable)
}
