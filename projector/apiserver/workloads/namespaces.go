package workloads

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
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
	discover := spacedResources(client)
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

// spacedResources returns what discovers the resources of namespaces. An API of
// somebody else that does not answer is passed over: a namespace that waited for it
// would never go, and what is there is none of the log's.
func spacedResources(client kubernetes.Interface) func() ([]*metav1.APIResourceList, error) {
	return func() ([]*metav1.APIResourceList, error) {
		all, err := client.Discovery().ServerPreferredNamespacedResources()
		if discovery.IsGroupDiscoveryFailedError(err) {
			err = nil // the groups that are served here answer as long as there is an answer
		}
		return all, err
	}
}
