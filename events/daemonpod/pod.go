// Package daemonpod says what a daemon pod is made of: its name and uid, its
// tolerations, where it is pinned, and the revision of the template that it
// was made from. Who decides about pods and who makes them share it, so that
// both mean the same pod.
//
// The package is pure: equal arguments give equal results, in any process and
// in any version that keeps the wire format.
package daemonpod

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// Labels and annotations that daemon pods and DaemonSets carry.
const (
	RevisionLabel        = "controller-revision-hash"
	GenerationLabel      = "pod-template-generation"
	GenerationAnnotation = "deprecated.daemonset.template.generation"
	CauseAnnotation      = "rollcall/cause" // of a pod that was made in a real cluster: the command, and its log
)

// maxPodBase leaves room for "-" and eight characters in a pod name of at most
// 63, so that the name can also be the host name of the pod.
const (
	maxPodBase    = 54
	podNameSuffix = 8
	maxName       = 253 // of any object
)

// New returns the pod that c creates: a copy of t, labelled, owned by ds,
// tolerating what every daemon pod tolerates, pinned to the node of c, Pending.
// t carries the pod-template defaults already. Neither ds nor t is changed or
// kept. created is cut to the second, as Kubernetes writes it.
func New(ds *appsv1.DaemonSet, t *corev1.PodTemplateSpec, c events.Command, created time.Time) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:              c.Key.Name,
			GenerateName:      ds.Name + "-",
			Namespace:         ds.Namespace,
			UID:               c.UID,
			Generation:        1,
			CreationTimestamp: metav1.NewTime(created.UTC().Truncate(time.Second)),
			Labels:            podLabels(ds, t, c.Revision),
			Annotations:       maps.Clone(t.Annotations),
			Finalizers:        slices.Clone(t.Finalizers),
			OwnerReferences:   []metav1.OwnerReference{ControllerRef(ds)},
		},
		Spec: *t.Spec.DeepCopy(),
	}
	setPodDefaults(&pod.Spec)
	pod.Spec.Tolerations = Tolerations(&pod.Spec)
	Pin(&pod.Spec, c.Node)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(&pod.Spec)}
	return pod
}

// ControllerRef returns the owner reference that makes ds the controller of a
// pod or of a ControllerRevision.
func ControllerRef(ds *appsv1.DaemonSet) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion:         "apps/v1",
		Kind:               "DaemonSet",
		Name:               ds.Name,
		UID:                ds.UID,
		Controller:         ptr.To(true),
		BlockOwnerDeletion: ptr.To(true),
	}
}

func podLabels(ds *appsv1.DaemonSet, t *corev1.PodTemplateSpec, revision string) map[string]string {
	labels := maps.Clone(t.Labels)
	if labels == nil {
		labels = make(map[string]string, 2)
	}
	if g, err := strconv.ParseInt(ds.Annotations[GenerationAnnotation], 10, 64); err == nil {
		labels[GenerationLabel] = strconv.FormatInt(g, 10)
	}
	if revision != "" {
		labels[RevisionLabel] = revision
	}
	return labels
}

// Name returns the name of the attempt-th pod of a revision on a node: the
// same for the same pod, a valid pod name for every valid ds, and at most 63
// characters. Two cells of a large cluster can meet in one name; their uids
// differ.
func Name(ds string, dsUID, nodeUID types.UID, revision string, attempt int) string {
	id := identity("name", dsUID, nodeUID, revision, attempt)
	suffix := letters(binary.BigEndian.Uint64(id[:8]), podNameSuffix)
	base := cutName(ds, maxPodBase)
	if base == "" {
		return suffix
	}
	return base + "-" + suffix
}

// UID returns the uid of that pod.
func UID(dsUID, nodeUID types.UID, revision string, attempt int) types.UID {
	return events.DerivedUID(identity("uid", dsUID, nodeUID, revision, attempt))
}

// identity is the digest of what tells one pod from every other.
func identity(of string, dsUID, nodeUID types.UID, revision string, attempt int) [32]byte {
	b := make([]byte, 0, 128)
	for _, s := range []string{of, string(dsUID), string(nodeUID), revision} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return sha256.Sum256(binary.AppendVarint(b, int64(attempt)))
}

// alphabet holds no vowels, nor digits that look like them, so that no
// generated name spells a word.
const alphabet = "bcdfghjklmnpqrstvwxz2456789"

// letters writes n as count letters of the alphabet.
func letters(n uint64, count int) string {
	out := make([]byte, count)
	for i := range out {
		out[i] = alphabet[n%uint64(len(alphabet))]
		n /= uint64(len(alphabet))
	}
	return string(out)
}

// cutName cuts a DNS-1123 subdomain to at most limit characters such that "-"
// and more may follow it.
func cutName(name string, limit int) string {
	if len(name) > limit {
		name = name[:limit]
	}
	return strings.TrimRight(name, "-.")
}

// qosClass returns the quality of service that a pod's requests and limits of
// cpu and memory give it.
func qosClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	var all []corev1.ResourceRequirements
	if spec.Resources != nil {
		all = append(all, *spec.Resources)
	} else {
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			all = append(all, c.Resources)
		}
	}
	some, guaranteed := false, len(all) > 0
	for _, r := range all {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := r.Requests[name], r.Limits[name]
			some = some || !request.IsZero() || !limit.IsZero()
			if limit.IsZero() || request.Cmp(limit) != 0 {
				guaranteed = false
			}
		}
	}
	switch {
	case guaranteed:
		return corev1.PodQOSGuaranteed
	case some:
		return corev1.PodQOSBurstable
	}
	return corev1.PodQOSBestEffort
}
