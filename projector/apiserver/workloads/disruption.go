package workloads

import (
	"context"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
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
	c := disruption.NewDisruptionController(ctx, core.Pods(), w.gate.policy().V1().PodDisruptionBudgets(), core.ReplicationControllers(),
		apps.ReplicaSets(), apps.Deployments(), apps.StatefulSets(), client, mapper, scales, client.Discovery())
	w.add(c.Run)
	return nil
}
