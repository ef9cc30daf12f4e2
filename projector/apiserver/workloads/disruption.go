package workloads

import (
	"context"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/disruption"
)

// disruptions adds the controller that keeps the status of
// PodDisruptionBudgets, without which no eviction that one covers is allowed.
func disruptions(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	scales, err := scale.NewForConfig(w.as("disruption"), mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(client.Discovery()))
	if err != nil {
		return err
	}
	apps, core := w.gate.apps().V1(), w.gate.core().V1()
	c := disruption.NewDisruptionController(ctx, core.Pods(), w.gate.policy().V1().PodDisruptionBudgets(), noReplicationControllers{},
		apps.ReplicaSets(), apps.Deployments(), apps.StatefulSets(), client, mapper, scales, client.Discovery())
	w.add(c.Run)
	return nil
}

// noReplicationControllers informs of a kind that is not served: there is none,
// and that is known from the start. Nobody adds handlers to it.
type noReplicationControllers struct{ cache.SharedIndexInformer }

var _ coreinformers.ReplicationControllerInformer = noReplicationControllers{}

// Informer implements coreinformers.ReplicationControllerInformer.
func (n noReplicationControllers) Informer() cache.SharedIndexInformer { return n }

// Lister implements coreinformers.ReplicationControllerInformer.
func (noReplicationControllers) Lister() corelisters.ReplicationControllerLister {
	return corelisters.NewReplicationControllerLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}))
}

// HasSynced implements cache.SharedInformer.
func (noReplicationControllers) HasSynced() bool { return true }
