package apiserver

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	revisionstore "k8s.io/kubernetes/pkg/registry/apps/controllerrevision/storage"
	daemonsetstore "k8s.io/kubernetes/pkg/registry/apps/daemonset/storage"
	deploymentstore "k8s.io/kubernetes/pkg/registry/apps/deployment/storage"
	replicasetstore "k8s.io/kubernetes/pkg/registry/apps/replicaset/storage"
	statefulsetstore "k8s.io/kubernetes/pkg/registry/apps/statefulset/storage"
	scalerstore "k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler/storage"
	cronjobstore "k8s.io/kubernetes/pkg/registry/batch/cronjob/storage"
	jobstore "k8s.io/kubernetes/pkg/registry/batch/job/storage"
	leasestore "k8s.io/kubernetes/pkg/registry/coordination/lease/storage"
	configmapstore "k8s.io/kubernetes/pkg/registry/core/configmap/storage"
	eventstore "k8s.io/kubernetes/pkg/registry/core/event/storage"
	limitstore "k8s.io/kubernetes/pkg/registry/core/limitrange/storage"
	namespacestore "k8s.io/kubernetes/pkg/registry/core/namespace/storage"
	volumestore "k8s.io/kubernetes/pkg/registry/core/persistentvolume/storage"
	claimstore "k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim/storage"
	templatestore "k8s.io/kubernetes/pkg/registry/core/podtemplate/storage"
	controllerstore "k8s.io/kubernetes/pkg/registry/core/replicationcontroller/storage"
	quotastore "k8s.io/kubernetes/pkg/registry/core/resourcequota/storage"
	secretstore "k8s.io/kubernetes/pkg/registry/core/secret/storage"
	slicestore "k8s.io/kubernetes/pkg/registry/discovery/endpointslice/storage"
	runtimestore "k8s.io/kubernetes/pkg/registry/node/runtimeclass/storage"
	budgetstore "k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget/storage"
	classstore "k8s.io/kubernetes/pkg/registry/scheduling/priorityclass/storage"

	"rollcall/projector/apiserver/access"
	"rollcall/projector/apiserver/streams"
	"rollcall/projector/table"
)

// eventTTL is how long core Events are kept, in seconds, as by Kubernetes.
const eventTTL = 3600

// group is the resources of one API group and version, and of those below them.
type group map[string]rest.Storage

// installer makes the registries of all groups. Its first error is kept.
type installer struct {
	options generic.RESTOptionsGetter
	auth    authorizer.Authorizer
	users   *access.Access
	client  kubernetes.Interface // of this server
	logs    LogSource
	objects *table.Tables

	connections *streams.Connections // to the kubelets of nodes

	ranges ServiceRanges
	// kubelets is the file of the certificate and the key with which kubelets of real nodes are asked.
	kubelets string
	start    func(func(context.Context)) // runs something until the server ends
	past     string                      // why what is served cannot be written; empty: it can
	now      time.Time                   // of the past that is served, or zero
	err      error
}

// keep keeps the first error of all.
func (i *installer) keep(err error) {
	if i.err == nil {
		i.err = err
	}
}

// single makes a registry of one resource, or of one with subresources.
func single[T any](i *installer, newREST func(generic.RESTOptionsGetter) (T, error)) T {
	s, err := newREST(i.options)
	i.keep(err)
	return s
}

// pair puts a resource and its status into a group.
func pair[T, S rest.Storage](i *installer, g group, name string, newREST func(generic.RESTOptionsGetter) (T, S, error)) {
	s, status, err := newREST(i.options)
	i.keep(err)
	g[name], g[name+"/status"] = s, status
}

func (i *installer) core() group {
	g := group{}
	namespaces, status, finalize, err := namespacestore.NewREST(i.options)
	i.keep(err)
	g["namespaces"], g["namespaces/status"], g["namespaces/finalize"] = namespaces, status, finalize
	pods := i.nodesAndPods(g)
	if i.err != nil {
		return g
	}
	pair(i, g, "persistentvolumes", volumestore.NewREST)
	pair(i, g, "persistentvolumeclaims", claimstore.NewREST)
	g["secrets"] = single(i, secretstore.NewREST)
	g["configmaps"] = single(i, configmapstore.NewREST)
	i.accounts(g)
	told, err := eventstore.NewREST(i.options, eventTTL)
	i.keep(err)
	g["events"] = told
	g["podtemplates"], g["limitranges"] = single(i, templatestore.NewREST), single(i, limitstore.NewREST)
	pair(i, g, "resourcequotas", quotastore.NewREST)
	replicas := single(i, controllerstore.NewStorage)
	g["replicationcontrollers"], g["replicationcontrollers/status"], g["replicationcontrollers/scale"] = replicas.Controller, replicas.Status, replicas.Scale
	i.services(g, pods)
	return g
}

func (i *installer) apps() group {
	g := group{"controllerrevisions": single(i, revisionstore.NewREST)}
	pair(i, g, "daemonsets", daemonsetstore.NewREST)
	deployments := single(i, deploymentstore.NewStorage)
	g["deployments"], g["deployments/status"], g["deployments/scale"] = deployments.Deployment, deployments.Status, deployments.Scale
	replicas := single(i, replicasetstore.NewStorage)
	g["replicasets"], g["replicasets/status"], g["replicasets/scale"] = replicas.ReplicaSet, replicas.Status, replicas.Scale
	stateful := single(i, statefulsetstore.NewStorage)
	g["statefulsets"], g["statefulsets/status"], g["statefulsets/scale"] = stateful.StatefulSet, stateful.Status, stateful.Scale
	return g
}

func (i *installer) batch() group {
	g := group{}
	jobs := single(i, jobstore.NewStorage)
	g["jobs"], g["jobs/status"] = jobs.Job, jobs.Status
	pair(i, g, "cronjobs", cronjobstore.NewREST)
	return g
}

// groups returns the API groups besides core, in the order of discovery: that of
// Kubernetes, which decides which of two resources of one name is meant.
func (i *installer) groups(core group) []*genericapiserver.APIGroupInfo {
	budgets, scalers := group{}, group{}
	pair(i, budgets, "poddisruptionbudgets", budgetstore.NewREST)
	pair(i, scalers, "horizontalpodautoscalers", scalerstore.NewREST)
	all := []struct {
		name      string
		resources group
	}{
		{"apps", i.apps()},
		{"events.k8s.io", group{"events": core["events"]}},
		{"authentication.k8s.io", i.authentication()},
		{"authorization.k8s.io", i.authorization()},
		{"autoscaling", scalers},
		{"batch", i.batch()},
		{"certificates.k8s.io", i.certificates()},
		{"networking.k8s.io", i.networking()},
		{"policy", budgets},
		{"rbac.authorization.k8s.io", i.rbac()},
		{"storage.k8s.io", i.storage()},
		{"admissionregistration.k8s.io", i.admissionRegistration()},
		{"apiextensions.k8s.io", i.extensions()},
		{"apiregistration.k8s.io", i.registrations()},
		{"scheduling.k8s.io", group{"priorityclasses": single(i, classstore.NewREST)}},
		{"coordination.k8s.io", group{"leases": single(i, leasestore.NewREST)}},
		{"node.k8s.io", group{"runtimeclasses": single(i, runtimestore.NewREST)}},
		{"discovery.k8s.io", group{"endpointslices": single(i, slicestore.NewREST)}},
		{"flowcontrol.apiserver.k8s.io", i.flowControl()},
		{"resource.k8s.io", i.devices()},
	}
	var infos []*genericapiserver.APIGroupInfo
	for _, g := range all {
		i.countAges(g.resources)
		infos = append(infos, groupInfo(g.name, g.resources))
	}
	return infos
}

// countAges has the tables of a group count ages to the instant that is served.
func (i *installer) countAges(g group) {
	if !i.now.IsZero() && i.err == nil {
		i.keep(g.agesUntil(i.now))
	}
}

// groupInfo describes a group in the versions that are served, whatever others the
// scheme knows.
func groupInfo(name string, resources group) *genericapiserver.APIGroupInfo {
	info := genericapiserver.NewDefaultAPIGroupInfo(name, legacyscheme.Scheme, legacyscheme.ParameterCodec, legacyscheme.Codecs)
	info.PrioritizedVersions, info.VersionedResourcesStorageMap = nil, map[string]map[string]rest.Storage{}
	for _, v := range versionsOf(name) {
		info.PrioritizedVersions = append(info.PrioritizedVersions, schema.GroupVersion{Group: name, Version: v})
		info.VersionedResourcesStorageMap[v] = resources
	}
	return &info
}

// install makes all registries and mounts them.
func (i *installer) install(s *genericapiserver.GenericAPIServer) error {
	core := i.core()
	if i.err != nil {
		return fmt.Errorf("make the registries: %w", i.err)
	}
	i.countAges(core)
	groups := i.groups(core)
	if i.err != nil {
		return fmt.Errorf("make the registries: %w", i.err)
	}
	legacy := groupInfo("", core)
	if err := s.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, legacy); err != nil {
		return fmt.Errorf("install the core API: %w", err)
	}
	if err := s.InstallAPIGroups(groups...); err != nil {
		return fmt.Errorf("install the API groups: %w", err)
	}
	for _, g := range append(groups, legacy) {
		g.StaticOpenAPISpec = nil // the server keeps the group for its end, and nobody reads the schemas
	}
	return nil
}
