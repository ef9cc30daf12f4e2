package events

import (
	"maps"
	"slices"
	"strings"
)

// Kinds that are called by name somewhere, besides those of event.go.
const (
	Secret                Kind = "Secret"
	ConfigMap             Kind = "ConfigMap"
	ServiceAccount        Kind = "ServiceAccount"
	PersistentVolume      Kind = "PersistentVolume"
	PersistentVolumeClaim Kind = "PersistentVolumeClaim"
	StorageClass          Kind = "StorageClass"
	Deployment            Kind = "Deployment"
	ReplicaSet            Kind = "ReplicaSet"
	StatefulSet           Kind = "StatefulSet"
	Job                   Kind = "Job"
	CronJob               Kind = "CronJob"
	PodDisruptionBudget   Kind = "PodDisruptionBudget"
	RuntimeClass          Kind = "RuntimeClass"
	Service               Kind = "Service"
	Endpoints             Kind = "Endpoints"
	EndpointSlice         Kind = "EndpointSlice"

	CustomResourceDefinition Kind = "CustomResourceDefinition"
	APIService               Kind = "APIService"
)

// kindsOf are the kinds of one API group: in namespaces, and of the cluster.
type kindsOf struct {
	group          string
	spaced, global []Kind
}

// builtin are the kinds of Kubernetes whose objects a log holds: all that a
// kube-apiserver serves by default, but for Events and Leases, which come and go
// too fast to be facts.
var builtin = []kindsOf{
	{"", []Kind{Pod, Secret, ConfigMap, ServiceAccount, PersistentVolumeClaim, Service, Endpoints, "ReplicationController", "PodTemplate", "LimitRange", "ResourceQuota"},
		[]Kind{Node, Namespace, PersistentVolume}},
	{"admissionregistration.k8s.io", nil, []Kind{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}},
	{"apiextensions.k8s.io", nil, []Kind{CustomResourceDefinition}},
	{"apiregistration.k8s.io", nil, []Kind{APIService}},
	{"apps", []Kind{DaemonSet, ControllerRevision, Deployment, ReplicaSet, StatefulSet}, nil},
	{"autoscaling", []Kind{"HorizontalPodAutoscaler"}, nil},
	{"batch", []Kind{Job, CronJob}, nil},
	{"certificates.k8s.io", nil, []Kind{"CertificateSigningRequest"}},
	{"discovery.k8s.io", []Kind{EndpointSlice}, nil},
	{"flowcontrol.apiserver.k8s.io", nil, []Kind{"FlowSchema", "PriorityLevelConfiguration"}},
	{"networking.k8s.io", []Kind{"Ingress", "NetworkPolicy"}, []Kind{"IngressClass", "IPAddress", "ServiceCIDR"}},
	{"node.k8s.io", nil, []Kind{RuntimeClass}},
	{"policy", []Kind{PodDisruptionBudget}, nil},
	{"rbac.authorization.k8s.io", []Kind{"Role", "RoleBinding"}, []Kind{"ClusterRole", "ClusterRoleBinding"}},
	{"resource.k8s.io", []Kind{"ResourceClaim", "ResourceClaimTemplate"}, []Kind{"DeviceClass", "ResourceSlice"}},
	{"scheduling.k8s.io", nil, []Kind{PriorityClass}},
	{"storage.k8s.io", []Kind{"CSIStorageCapacity"}, []Kind{"CSIDriver", "CSINode", StorageClass, "VolumeAttachment", "VolumeAttributesClass"}},
}

// anyNames are the kinds whose objects have names that need only be a segment of a
// path, as Kubernetes has it for them. Those of all others are DNS-1123 subdomains.
var anyNames = map[Kind]bool{"Role": true, "ClusterRole": true, "RoleBinding": true, "ClusterRoleBinding": true, "IPAddress": true, APIService: true}

// versions are those in which a log holds the objects of a group: that which
// Kubernetes prefers. Of other groups it is v1.
var versions = map[string]string{"autoscaling": "v2"}

type kindOf struct {
	group      string
	namespaced bool
}

var kinds = func() map[Kind]kindOf {
	all := map[Kind]kindOf{}
	for _, g := range builtin {
		for _, k := range g.spaced {
			all[k] = kindOf{g.group, true}
		}
		for _, k := range g.global {
			all[k] = kindOf{g.group, false}
		}
	}
	return all
}()

// Namespaced reports whether objects of a kind that Kept knows are in namespaces.
func Namespaced(k Kind) bool { return kinds[k].namespaced }

// Kinds returns the kinds whose objects a log holds, in order.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }

// CustomKind returns the kind under which a log knows the objects that a
// CustomResourceDefinition of a group defines: "Widget.example.com". It has a
// dot, which no kind of Kubernetes has, and is never among Kinds.
func CustomKind(group, kind string) Kind { return Kind(kind + "." + group) }

// KindOf returns the kind under which a log knows the objects of a kind of an API
// group: a custom one if it holds no other of that name and group.
func KindOf(group, kind string) Kind {
	if _, kept := Kept(group, Kind(kind)); kept || group == "" {
		return Kind(kind)
	}
	return CustomKind(group, kind)
}

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

// Version returns the version of the API in which a log holds objects of a kind.
func (k Kind) Version() string {
	if v, other := versions[k.Group()]; other {
		return v
	}
	return "v1"
}

// Kept reports whether a log holds every object of a kind of an API group, and
// whether they are in namespaces.
func Kept(group string, k Kind) (namespaced, ok bool) {
	x, ok := kinds[k]
	return x.namespaced, ok && x.group == group
}
