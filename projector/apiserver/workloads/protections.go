package workloads

import (
	"context"

	"k8s.io/client-go/informers/storage"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/volume/vacprotection"
)

// classProtection adds the controller that lets a VolumeAttributesClass that is
// being deleted go when no claim and no volume uses it any more. Who plays the
// volumes does that for claims and volumes.
func classProtection(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	core := w.gate.core().V1()
	c, err := vacprotection.NewVACProtectionController(klog.FromContext(ctx), client, core.PersistentVolumeClaims(), core.PersistentVolumes(),
		storage.New(w.gate, "", nil).V1().VolumeAttributesClasses())
	if err != nil {
		return err
	}
	w.add(func(ctx context.Context) { c.Run(ctx, 1) })
	return nil
}
