package workloads

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/kubernetes/pkg/controller/namespace"
)

// namespaceWorkers is how many namespaces are emptied at once, as in Kubernetes.
const namespaceWorkers = 10

// namespaces adds the controller that empties the namespaces that are being
// deleted, pods first, tells in their conditions what is left, and lets them go.
func namespaces(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	objects, err := metadata.NewForConfig(w.as("namespace"))
	if err != nil {
		return err
	}
	discover := client.Discovery().ServerPreferredNamespacedResources
	known, err := discover()
	if err != nil {
		return fmt.Errorf("discover what namespaces hold: %w", err)
	}
	// A controller that discovers nothing when it is made ends the process.
	resources := func() ([]*metav1.APIResourceList, error) {
		now, err := discover()
		if len(now) == 0 {
			now = known
		}
		return now, err
	}
	c := namespace.NewNamespaceController(ctx, client, objects, resources, w.gate.core().V1().Namespaces(), 0, corev1.FinalizerKubernetes)
	w.add(func(ctx context.Context) { c.Run(ctx, namespaceWorkers) })
	return nil
}
