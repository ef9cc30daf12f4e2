package daemonpod

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// automatic are the taints that every daemon pod tolerates without limit, in
// the order in which the tolerations are appended.
var automatic = [...]corev1.Toleration{
	{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeDiskPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodePIDPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
}

// onHostNetwork is tolerated by daemon pods that bring the network up.
var onHostNetwork = corev1.Toleration{
	Key: corev1.TaintNodeNetworkUnavailable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule,
}

// Tolerations returns the tolerations of a daemon pod: those of spec, then the
// automatic ones. One of spec that equals an automatic one in key, effect,
// operator and value becomes it, in its place, and so loses its seconds.
// spec is not changed, and the result is not part of it.
func Tolerations(spec *corev1.PodSpec) []corev1.Toleration {
	out := make([]corev1.Toleration, 0, len(spec.Tolerations)+len(automatic)+1)
	for i := range spec.Tolerations {
		out = append(out, *spec.Tolerations[i].DeepCopy())
	}
	for _, t := range automatic {
		out = tolerate(out, t)
	}
	if spec.HostNetwork {
		out = tolerate(out, onHostNetwork)
	}
	return out
}

func tolerate(all []corev1.Toleration, t corev1.Toleration) []corev1.Toleration {
	found := false
	for i := range all {
		if all[i].MatchToleration(&t) {
			all[i], found = t, true
		}
	}
	if !found {
		all = append(all, t)
	}
	return all
}

// Pin makes node the only one that spec may run on: one required term on the
// node's name replaces the required ones; everything else of the affinity
// stays. spec is changed and belongs to the caller.
func Pin(spec *corev1.PodSpec, node string) {
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{
				Key:      metav1.ObjectNameField,
				Operator: corev1.NodeSelectorOpIn,
				Values:   []string{node},
			}},
		}},
	}
}

// TargetNode returns the name of the node that a pod runs on or is pinned to;
// ok is false for a pod that is neither. Of several requirements on the node's
// name the first decides.
func TargetNode(spec *corev1.PodSpec) (name string, ok bool) {
	if spec.NodeName != "" {
		return spec.NodeName, true
	}
	a := spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return "", false
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		i := slices.IndexFunc(term.MatchFields, func(r corev1.NodeSelectorRequirement) bool {
			return r.Key == metav1.ObjectNameField && r.Operator == corev1.NodeSelectorOpIn
		})
		if i < 0 {
			continue
		}
		if values := term.MatchFields[i].Values; len(values) == 1 {
			return values[0], true
		}
		return "", false
	}
	return "", false
}
