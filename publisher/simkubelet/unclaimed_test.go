package simkubelet

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// A claim that gets no volume is told why, in the words of Kubernetes.
func TestClaimNotices(t *testing.T) {
	class := func(name, provisioner string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
		return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: ptr.To(mode)}
	}
	classes := []*storagev1.StorageClass{class("fast", "disks.example", storagev1.VolumeBindingImmediate),
		class("local", noProvisioner, storagev1.VolumeBindingWaitForFirstConsumer), class("manual", noProvisioner, storagev1.VolumeBindingImmediate)}
	free := newVolume(newClaim("elsewhere", "uid-elsewhere"), metav1.Time{})
	free.Annotations, free.Spec.ClaimRef, free.Status.Phase = nil, nil, corev1.VolumeAvailable
	for _, c := range []struct {
		name    string
		class   *string
		volume  string
		classes []*storagev1.StorageClass
		volumes []*corev1.PersistentVolume
		want    string
	}{
		{"no class", ptr.To(""), "", classes, nil, "Normal FailedBinding no persistent volumes available for this claim and no storage class is set"},
		{"no class, and a volume fits", ptr.To(""), "", classes, []*corev1.PersistentVolume{free}, ""},
		{"no class, and it names a volume", ptr.To(""), "disk", classes, nil, ""},
		{"the default class", nil, "", classes, nil, ""},
		{"a class that makes volumes", ptr.To("fast"), "", classes, nil, ""},
		{"a class that waits", ptr.To("local"), "", classes, nil, "Normal WaitForFirstConsumer waiting for first consumer to be created before binding"},
		{"a class whose volumes somebody makes", ptr.To("manual"), "", classes, nil, "Warning ProvisioningFailed no volume plugin matched name: kubernetes.io/no-provisioner"},
		{"a class that is not there", ptr.To("slow"), "", classes, nil, `Warning ProvisioningFailed storageclass.storage.k8s.io "slow" not found`},
		{"a class where there is none at all", ptr.To("slow"), "", nil, nil, ""},
	} {
		claim := newClaim("data", "uid-data")
		claim.Spec.StorageClassName, claim.Spec.VolumeName = c.class, c.volume
		got := ""
		for _, n := range ClaimNotices(claim, slices.Values(c.classes), slices.Values(c.volumes)) {
			got += n.Type + " " + n.Reason + " " + n.Message
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
