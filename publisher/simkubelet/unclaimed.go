package simkubelet

import (
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// ClaimNotices returns what Kubernetes' volume controller reports of a claim that
// was made and that gets no volume for now, with its texts. A claim without a
// class, and any claim where there are no classes, gets one here.
func ClaimNotices(c *corev1.PersistentVolumeClaim, classes iter.Seq[*storagev1.StorageClass], volumes iter.Seq[*corev1.PersistentVolume]) []events.Notice {
	if classOf(c) == nil || !pending(c) || c.Spec.VolumeName != "" {
		return nil
	}
	n := unclaimed(*classOf(c), slices.Collect(classes))
	if n.Reason == "" {
		return nil
	}
	for v := range volumes {
		if (&volume{object: v}).fits(c) {
			return nil
		}
	}
	n.Component = "persistentvolume-controller"
	return []events.Notice{n}
}

// unclaimed is why no volume is made for a claim of a class; of one for which
// volumes are made, it is empty.
func unclaimed(class string, classes []*storagev1.StorageClass) events.Notice {
	if class == "" {
		return events.Notice{Type: corev1.EventTypeNormal, Reason: "FailedBinding", Message: "no persistent volumes available for this claim and no storage class is set"}
	}
	i := slices.IndexFunc(classes, func(c *storagev1.StorageClass) bool { return c.Name == class })
	switch {
	case len(classes) == 0:
		return events.Notice{}
	case i < 0:
		return events.Notice{Type: corev1.EventTypeWarning, Reason: "ProvisioningFailed", Message: fmt.Sprintf("storageclass.storage.k8s.io %q not found", class)}
	case ptr.Deref(classes[i].VolumeBindingMode, "") == storagev1.VolumeBindingWaitForFirstConsumer:
		return events.Notice{Type: corev1.EventTypeNormal, Reason: "WaitForFirstConsumer", Message: "waiting for first consumer to be created before binding"}
	case classes[i].Provisioner == noProvisioner:
		return events.Notice{Type: corev1.EventTypeWarning, Reason: "ProvisioningFailed", Message: "no volume plugin matched name: " + noProvisioner}
	}
	return events.Notice{}
}
