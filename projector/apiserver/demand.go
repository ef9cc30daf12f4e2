package apiserver

import (
	"context"
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// AwaitObject returns when there is an object of a kind of which ok says so (nil: any
// object), or with ctx's error when that is done. ok is given the object as the
// log has it, and is asked about each version once at most.
func AwaitObject(ctx context.Context, objects *table.Tables, kind events.Kind, ok func(data []byte) bool) error {
	if !slices.Contains(events.Kinds(), kind) {
		return fmt.Errorf("wait for the first of kind %s: it is not kept", kind)
	}
	t := objects.Of(kind)
	there := func(i *table.Item) bool { return i != nil && (ok == nil || ok(i.Data)) }
	for ctx.Err() == nil {
		items, rev := t.Snapshot()
		found := false
		items.Scan(func(i *table.Item) bool {
			found = there(i)
			return !found
		})
		if found {
			return nil
		}
		for c := range changes(ctx.Done(), t, rev) {
			if there(c.Now) {
				return nil
			}
		}
	}
	return ctx.Err()
}

// changes yields what happens to a table after a revision, until it is stopped
// or until too much has happened to know what.
func changes(stop <-chan struct{}, t *table.Table, rev uint64) iter.Seq[table.Change] {
	return func(yield func(table.Change) bool) {
		for {
			cs, wake, _, ok := t.Since(rev)
			for _, c := range cs {
				if rev = c.Rev; !yield(c) {
					return
				}
			}
			switch {
			case !ok:
				return
			case len(cs) > 0:
				continue
			}
			select {
			case <-wake:
			case <-stop:
				return
			}
		}
	}
}

// Deleting reports whether an object is being deleted.
func Deleting(data []byte) bool {
	return len(wire.Field(wire.Field(data, "metadata"), "deletionTimestamp")) > 0
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

// secretOf reports whether a Secret is of a type.
func secretOf(t corev1.SecretType) func(data []byte) bool {
	return func(secret []byte) bool {
		c := wire.NewCursor(wire.Field(secret, "type"))
		return c.More() && string(c.Str()) == string(t)
	}
}

// ForAccount reports whether a Secret is for the token of a service account.
var ForAccount = secretOf(corev1.SecretTypeServiceAccountToken)

// ForJoining reports whether a Secret has a token by which nodes join.
var ForJoining = secretOf(bootstrapapi.SecretTypeBootstrapToken)

// Gathering reports whether a ClusterRole may change what others gather: it is none
// of Kubernetes', or somebody has changed it since it was made.
func Gathering(role []byte) bool {
	var m metav1.ObjectMeta
	_ = wire.Unmarshal(wire.Field(role, "metadata"), &m) // what cannot be read is not of Kubernetes
	return m.Labels["kubernetes.io/bootstrapping"] == "" || len(m.ManagedFields) > 1
}

// Selecting reports whether a Service selects pods.
func Selecting(service []byte) bool {
	return len(wire.Field(wire.Field(service, "spec"), "selector")) > 0
}

// HandMade reports whether Endpoints are to be mirrored as EndpointSlices, which
// those that a controller makes are not.
func HandMade(endpoints []byte) bool {
	var labels map[string]string
	_ = wire.Unmarshal(wire.Field(wire.Field(endpoints, "metadata"), "labels"), &labels) // what cannot be read has none
	return labels[discoveryv1.LabelSkipMirror] != "true"
}
