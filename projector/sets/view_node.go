package sets

import (
	"fmt"

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

// viewNode walks the bytes of a node once. Taints are decoded only
// if they differ from those of old.
func viewNode(ref events.Ref, data []byte, old *NodeView) (*NodeView, error) {
	v := &NodeView{Name: ref.Key.Name, UID: ref.UID}
	c := wire.NewCursor(data)
	for range c.Map() {
		switch string(c.Str()) {
		case "metadata":
			for range c.Map() {
				switch string(c.Str()) {
				case "labels":
					v.labels = c.Value()
				case "finalizers", "ownerReferences":
					v.odd = true
					c.Skip()
				default:
					c.Skip()
				}
			}
		case "spec":
			for range c.Map() {
				if string(c.Str()) == "taints" {
					v.taints = c.Value()
				} else {
					c.Skip()
				}
			}
		case "status":
			v.readStatus(&c)
		default:
			c.Skip()
		}
	}
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("view node %s: %w", ref.Key, err)
	}
	if old != nil && v.placesAs(old) {
		v.Taints = old.Taints
		return v, nil
	}
	v.Taints = taints(v.taints)
	return v, nil
}

// placesAs reports whether a node has the labels and taints that it had: the
// same pods may be there.
func (v *NodeView) placesAs(old *NodeView) bool {
	return old.UID == v.UID && string(old.labels) == string(v.labels) && string(old.taints) == string(v.taints)
}

func (v *NodeView) readStatus(c *wire.Cursor) {
	for range c.Map() {
		if string(c.Str()) != "conditions" {
			c.Skip()
			continue
		}
		for range c.Array() {
			if typ, status, _ := readCondition(c); typ == string(corev1.NodeReady) {
				v.Ready = status
			}
		}
	}
}

func taints(b []byte) []corev1.Taint {
	c := wire.NewCursor(b)
	var ts []corev1.Taint
	for range c.Array() {
		var t corev1.Taint
		for range c.Map() {
			switch string(c.Str()) {
			case "key":
				t.Key = string(c.Str())
			case "value":
				t.Value = string(c.Str())
			case "effect":
				t.Effect = corev1.TaintEffect(c.Str())
			default:
				c.Skip()
			}
		}
		ts = append(ts, t)
	}
	return ts
}
