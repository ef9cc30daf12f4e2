package apiserver

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// AwaitObject returns when there is an object of a kind of which ok says so (nil: any
// object), or with ctx's error when that is done. ok is given the object as the
// log has it, and is asked about each version once at most.
func AwaitObject(ctx context.Context, objects *table.Tables, kind events.Kind, ok func(data []byte) bool) error {
	if !slices.Contains(Kinds(), kind) {
		return fmt.Errorf("wait for the first of kind %s: it is not kept", kind)
	}
	t := objects.Of(kind)
	there := func(i *table.Item) bool { return i != nil && (ok == nil || ok(i.Data)) }
	for rev, known := uint64(0), false; ; {
		if !known {
			items, last := t.Snapshot()
			found := false
			items.Scan(func(i *table.Item) bool {
				found = there(i)
				return !found
			})
			if found {
				return nil
			}
			rev = last
		}
		cs, wake, _, remembered := t.Since(rev)
		known = remembered
		for _, c := range cs {
			if there(c.Now) {
				return nil
			}
			rev = c.Rev
		}
		if !known || len(cs) > 0 {
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Deleting reports whether an object is being deleted.
func Deleting(data []byte) bool {
	return len(wire.Field(wire.Field(data, "metadata"), "deletionTimestamp")) > 0
}

// unlabeled returns a report on whether an object lacks a label with a value.
func unlabeled(key, value string) func(data []byte) bool {
	return func(data []byte) bool {
		var labels map[string]string
		_ = wire.Unmarshal(wire.Field(wire.Field(data, "metadata"), "labels"), &labels) // what cannot be read has none
		return labels[key] != value
	}
}

// Evicting reports whether a node has a taint that pods have to leave for.
func Evicting(node []byte) bool {
	var taints []corev1.Taint
	_ = wire.Unmarshal(wire.Field(wire.Field(node, "spec"), "taints"), &taints)
	for _, t := range taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			return true
		}
	}
	return false
}

// Strays reports whether a pod is none of a DaemonSet, which looks after its
// own.
func Strays(pod []byte) bool {
	var owners []metav1.OwnerReference
	_ = wire.Unmarshal(wire.Field(wire.Field(pod, "metadata"), "ownerReferences"), &owners)
	for _, o := range owners {
		if o.Controller != nil && *o.Controller && o.Kind == string(events.DaemonSet) {
			return false
		}
	}
	return true
}
