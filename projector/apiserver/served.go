package apiserver

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rollcall/events"
)

// resource is one kind that is served. Its objects are in the log, or in a
// bucket: a stream of its own for what beats often or is kept for an hour.
type resource struct {
	group  string
	name   string // plural, in lower case
	kind   events.Kind
	bucket string // empty: in the log
}

func resourceFor(group string, kind events.Kind, bucket string) resource {
	r := resource{group: group, kind: kind, bucket: bucket}
	plural, _ := meta.UnsafeGuessKindToResource(r.gvk())
	r.name = plural.Resource
	return r
}

func (r resource) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.group, Version: r.kind.Version(), Kind: string(r.kind)}
}

// The buckets.
const (
	bucketLeases = "leases"
	bucketEvents = "events"
)

// alsoServed are the versions of groups in which objects are served besides that in
// which the log holds them, as Kubernetes does by default.
var alsoServed = map[string][]string{"autoscaling": {"v1"}}

// versionsOf returns the versions in which a group is served, the preferred one first.
func versionsOf(group string) []string {
	preferred := "v1"
	for _, k := range events.Kinds() {
		if k.Group() == group {
			preferred = k.Version()
		}
	}
	return append([]string{preferred}, alsoServed[group]...)
}

// served are the resources with objects. Reviews have none.
var served = func() []resource {
	all := []resource{resourceFor("", "Event", bucketEvents), resourceFor("coordination.k8s.io", "Lease", bucketLeases)}
	for _, k := range events.Kinds() {
		all = append(all, resourceFor(k.Group(), k, ""))
	}
	return all
}()

// resourceOf returns the resource of a group and a plural name.
func resourceOf(gr schema.GroupResource) (resource, bool) {
	for _, r := range served {
		if r.name == gr.Resource && (r.group == gr.Group || r.bucket == bucketEvents) {
			return r, true
		}
	}
	return resource{}, false
}
