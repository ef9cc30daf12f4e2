package events

import (
	"maps"
	"slices"
	"strings"
)

// Kinds that garbage collection knows: an owner of another kind or group may be kept
// by somebody else, and is never taken for gone.
const (
	Secret                Kind = "Secret"
	ConfigMap             Kind = "ConfigMap"
	ServiceAccount        Kind = "ServiceAccount"
	PersistentVolume      Kind = "PersistentVolume"
	PersistentVolumeClaim Kind = "PersistentVolumeClaim"
	Deployment            Kind = "Deployment"
	ReplicaSet            Kind = "ReplicaSet"
	StatefulSet           Kind = "StatefulSet"
	Job                   Kind = "Job"
	CronJob               Kind = "CronJob"
	PodDisruptionBudget   Kind = "PodDisruptionBudget"
	RuntimeClass          Kind = "RuntimeClass"

	CustomResourceDefinition Kind = "CustomResourceDefinition"
)

type kindOf struct {
	group      string
	namespaced bool
}

// anyNames are the kinds whose objects have names that need only be a segment of a
// path, as Kubernetes has it for them. Those of all others are DNS-1123 subdomains.
var anyNames = map[Kind]bool{"Role": true, "ClusterRole": true, "RoleBinding": true, "ClusterRoleBinding": true}

var kinds = map[Kind]kindOf{
	Node: {"", false}, Namespace: {"", false}, PersistentVolume: {"", false}, PriorityClass: {"scheduling.k8s.io", false},
	RuntimeClass: {"node.k8s.io", false}, CustomResourceDefinition: {"apiextensions.k8s.io", false},
	Pod: {"", true}, Secret: {"", true}, ConfigMap: {"", true}, ServiceAccount: {"", true}, PersistentVolumeClaim: {"", true},
	DaemonSet: {"apps", true}, ControllerRevision: {"apps", true}, Deployment: {"apps", true}, ReplicaSet: {"apps", true}, StatefulSet: {"apps", true},
	Job: {"batch", true}, CronJob: {"batch", true}, PodDisruptionBudget: {"policy", true},
}

// Namespaced reports whether objects of a kind that Kept knows are in namespaces.
func Namespaced(k Kind) bool { return kinds[k].namespaced }

// Kinds returns the kinds whose objects a log holds, in order.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }

// CustomKind returns the kind under which a log knows the objects that a
// CustomResourceDefinition of a group defines: "Widget.example.com". It has a
// dot, which no kind of Kubernetes has, and is never among Kinds.
func CustomKind(group, kind string) Kind { return Kind(kind + "." + group) }

// Custom reports whether a CustomResourceDefinition defines the kind.
func (k Kind) Custom() bool { return strings.IndexByte(string(k), '.') >= 0 }

// Group returns the API group of a kind whose objects a log holds.
func (k Kind) Group() string {
	if _, group, custom := strings.Cut(string(k), "."); custom {
		return group
	}
	return kinds[k].group
}

// Name returns the kind as its objects have it: without the group.
func (k Kind) Name() string {
	name, _, _ := strings.Cut(string(k), ".")
	return name
}

// token writes a kind as one subject token.
func (k Kind) token() string { return token(strings.ToLower(string(k))) }

// Kept reports whether a log holds every object of a kind of an API group, and
// whether they are in namespaces.
func Kept(group string, k Kind) (namespaced, ok bool) {
	x, ok := kinds[k]
	return x.namespaced, ok && x.group == group
}
