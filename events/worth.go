package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events/wire"
)

// quietFields are the names of the fields of nodes and pods, by the form that
// managedFields have, whose changes alone are not worth a fact: that a kubelet
// or a prober is still there, and which images a node has pulled.
var quietFields = map[Kind][]string{
	Node: {"f:lastHeartbeatTime", "f:images"},
	Pod:  {"f:lastProbeTime"},
}

// Worth reports whether the change of an object from before to now is worth a
// fact. Whoever appends what another said asks Worth first: a heartbeat is not
// worth one, and neither is when or by whom a field was written that is not, nor the
// number that another cluster has given to a change.
// Every other difference is, but for two spellings of one value.
func Worth(before, now Object) bool {
	switch {
	case bytes.Equal(before.Data, now.Data):
		return false
	case now.Kind == Node:
		return differ(before, now, quietNode)
	case now.Kind == Pod:
		return differ(before, now, quietPod)
	}
	return !bytes.Equal(unnumbered(before.Data), unnumbered(now.Data))
}

// unnumbered returns an object without the revision that another cluster gave it.
func unnumbered(object []byte) []byte {
	meta := wire.Field(object, "metadata")
	if len(wire.Text(meta, "resourceVersion")) == 0 {
		return object
	}
	rest, err := wire.With(meta, "resourceVersion", []byte{0xa0}) // an empty string
	if err == nil {
		rest, err = wire.With(object, "metadata", rest)
	}
	if err != nil {
		return object
	}
	return rest
}

// differ reports whether two objects differ after quiet has taken out what is
// not worth a fact. Objects that cannot be read do.
func differ[T any](before, now Object, quiet func(*T)) bool {
	var a, b T
	if before.Decode(&a) != nil || now.Decode(&b) != nil {
		return true
	}
	quiet(&a)
	quiet(&b)
	return !equality.Semantic.DeepEqual(a, b)
}

func quietNode(n *corev1.Node) {
	n.ResourceVersion = ""
	n.ManagedFields = quietManagers(n.ManagedFields, quietFields[Node])
	n.Status.Images = nil
	for i := range n.Status.Conditions {
		n.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
}

func quietPod(p *corev1.Pod) {
	p.ResourceVersion = ""
	p.ManagedFields = quietManagers(p.ManagedFields, quietFields[Pod])
	for i := range p.Status.Conditions {
		p.Status.Conditions[i].LastProbeTime = metav1.Time{}
	}
}

// quietManagers drops when fields were written and who wrote quiet ones, and
// puts the rest into an order that does not depend on the time.
func quietManagers(ms []metav1.ManagedFieldsEntry, quiet []string) []metav1.ManagedFieldsEntry {
	var out []metav1.ManagedFieldsEntry
	for _, m := range ms {
		m.Time = nil
		if m.FieldsV1 != nil {
			var fields map[string]any
			if json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) == nil {
				if prune(fields, quiet); len(fields) == 0 {
					continue
				}
				raw, _ := json.Marshal(fields) // was read from JSON
				m.FieldsV1 = metav1.NewFieldsV1(string(raw))
			}
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Subresource, b.Subresource))
	})
	return out
}

// prune takes fields out of a set of managedFields, and what holds nothing but them.
func prune(fields map[string]any, names []string) {
	for _, name := range names {
		delete(fields, name)
	}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if below, ok := fields[k].(map[string]any); ok && len(below) > 0 {
			if prune(below, names); len(below) == 0 {
				delete(fields, k)
			}
		}
	}
}
