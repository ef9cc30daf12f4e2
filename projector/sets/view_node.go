package sets

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
)

// NodeView is what decisions read of a node.
type NodeView struct {
	Name   string
	UID    types.UID
	Taints []corev1.Taint
	Ready  bool

	labels, taints []byte
	odd            bool // it has owners or finalizers
}

// Labels decodes the node's labels.
func (v *NodeView) Labels() labels.Set { return stringMap(v.labels) }

// Simulated reports whether rollcall plays the kubelet of the node.
func (v *NodeView) Simulated() bool {
	return string(wire.Text(v.labels, events.LabelSimulated)) == "true"
}

// viewNode reads a node. Taints are decoded only if they differ from those of old.
func viewNode(ref events.Ref, data []byte, old *NodeView) *NodeView {
	meta := wire.Field(data, "metadata")
	v := &NodeView{Name: ref.Key.Name, UID: ref.UID, labels: wire.Field(meta, "labels"), taints: wire.Field(wire.Field(data, "spec"), "taints"),
		odd: wire.Field(meta, "finalizers") != nil || wire.Field(meta, "ownerReferences") != nil}
	for condition := range wire.Items(wire.Field(wire.Field(data, "status"), "conditions")) {
		if string(wire.Text(condition, "type")) == string(corev1.NodeReady) {
			v.Ready = string(wire.Text(condition, "status")) == string(corev1.ConditionTrue)
		}
	}
	if old != nil && v.placesAs(old) {
		v.Taints = old.Taints
		return v
	}
	for t := range wire.Items(v.taints) {
		v.Taints = append(v.Taints, corev1.Taint{Key: string(wire.Text(t, "key")), Value: string(wire.Text(t, "value")), Effect: corev1.TaintEffect(wire.Text(t, "effect"))})
	}
	return v
}

// placesAs reports whether a node has the labels and taints that it had: the
// same pods may be there.
func (v *NodeView) placesAs(old *NodeView) bool {
	return old.UID == v.UID && string(old.labels) == string(v.labels) && string(old.taints) == string(v.taints)
}
