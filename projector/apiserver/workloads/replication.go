package workloads

import (
	"context"

	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controller/replication"
)

// replicationControllers adds the controller of ReplicationControllers: that of
// ReplicaSets by another name.
func replicationControllers(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	core := w.gate.core().V1()
	c := replication.NewReplicationManager(ctx, core.Pods(), core.ReplicationControllers(), client, replication.BurstReplicas)
	w.pool(c.Run)
	return nil
}
