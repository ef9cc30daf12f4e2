package workloads

import (
	"context"

	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controller/endpoint"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	"k8s.io/kubernetes/pkg/controller/endpointslicemirroring"
	"k8s.io/kubernetes/pkg/controller/replication"
)

// Bounds of slices, as in Kubernetes.
const (
	sliceEndpoints  = 100
	mirrorEndpoints = 1000
)

// endpoints adds the controller that keeps the Endpoints of Services which select
// pods.
func endpoints(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	core := w.gate.core().V1()
	w.pool(endpoint.NewEndpointController(ctx, core.Pods(), core.Services(), core.Endpoints(), client, 0).Run)
	return nil
}

// endpointSlices adds the controller that keeps their EndpointSlices.
func endpointSlices(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	core := w.gate.core().V1()
	w.pool(endpointslice.NewController(ctx, core.Pods(), core.Services(), core.Nodes(), w.gate.discovery().V1().EndpointSlices(), sliceEndpoints, client, 0).Run)
	return nil
}

// mirrors adds the controller that keeps EndpointSlices of Endpoints which somebody
// has made for a Service that selects nothing.
func mirrors(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	core := w.gate.core().V1()
	w.pool(endpointslicemirroring.NewController(ctx, core.Endpoints(), w.gate.discovery().V1().EndpointSlices(), core.Services(), mirrorEndpoints, client, 0).Run)
	return nil
}

// replications adds the controller of ReplicationControllers.
func replications(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	core := w.gate.core().V1()
	w.pool(replication.NewReplicationManager(ctx, core.Pods(), core.ReplicationControllers(), client, replication.BurstReplicas).Run)
	return nil
}
