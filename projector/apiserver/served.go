package apiserver

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rollcall/events"
)

// resource is one kind that is served. Its objects are in the log, or in a
// bucket: a stream of its own for what beats often or is kept for an hour.
type resource struct {
	group, version string
	name           string // plural, in lower case
	stored         string // kind
	bucket         string // empty: in the log
}

func (r resource) kind() events.Kind { return events.Kind(r.stored) }

func (r resource) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.group, Version: r.version, Kind: r.stored}
}

// The buckets.
const (
	bucketLeases = "leases"
	bucketEvents = "events"
)

// served are the resources with objects. Reviews of one's own rights have none.
var served = []resource{
	{"", "v1", "configmaps", "ConfigMap", ""},
	{"", "v1", "events", "Event", bucketEvents},
	{"", "v1", "namespaces", "Namespace", ""},
	{"", "v1", "nodes", "Node", ""},
	{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", ""},
	{"", "v1", "persistentvolumes", "PersistentVolume", ""},
	{"", "v1", "pods", "Pod", ""},
	{"", "v1", "secrets", "Secret", ""},
	{"", "v1", "serviceaccounts", "ServiceAccount", ""},
	{"apps", "v1", "controllerrevisions", "ControllerRevision", ""},
	{"apps", "v1", "daemonsets", "DaemonSet", ""},
	{"apps", "v1", "deployments", "Deployment", ""},
	{"apps", "v1", "replicasets", "ReplicaSet", ""},
	{"apps", "v1", "statefulsets", "StatefulSet", ""},
	{"batch", "v1", "cronjobs", "CronJob", ""},
	{"batch", "v1", "jobs", "Job", ""},
	{"coordination.k8s.io", "v1", "leases", "Lease", bucketLeases},
	{"node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", ""},
	{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", ""},
	{"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", ""},
}

// resourceOf returns the resource of a group and a plural name.
func resourceOf(gr schema.GroupResource) (resource, bool) {
	for _, r := range served {
		if r.name == gr.Resource && (r.group == gr.Group || r.bucket == bucketEvents) {
			return r, true
		}
	}
	return resource{}, false
}

// Kinds returns the kinds whose objects a log can hold through this API.
func Kinds() []events.Kind {
	var kinds []events.Kind
	for _, r := range served {
		if r.bucket == "" {
			kinds = append(kinds, r.kind())
		}
	}
	return kinds
}
