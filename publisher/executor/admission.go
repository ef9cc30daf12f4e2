package executor

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/utils/ptr"
)

// priorityClasses are the classes of a cluster by name.
type priorityClasses map[string]*schedulingv1.PriorityClass

// systemPriorities are the classes that every cluster has.
var systemPriorities = map[string]int32{
	"system-cluster-critical": 2000000000,
	"system-node-critical":    2000001000,
}

// priority is what a class gives to a pod.
type priority struct {
	class  string
	value  int32
	policy corev1.PreemptionPolicy
}

// resolve returns the priority of a pod that names a class, or names none.
func (cs priorityClasses) resolve(generateName, name string) (priority, *Refusal) {
	if name == "" {
		return cs.byDefault(), nil
	}
	if value, ok := systemPriorities[name]; ok {
		return priority{name, value, corev1.PreemptLowerPriority}, nil
	}
	class, ok := cs[name]
	if !ok {
		// A pod is named after it is admitted: it is known by the beginning of its name.
		return priority{}, &Refusal{"Forbidden", fmt.Sprintf("pods %q is forbidden: no PriorityClass with name %s was found", generateName, name)}
	}
	return priority{name, class.Value, ptr.Deref(class.PreemptionPolicy, corev1.PreemptLowerPriority)}, nil
}

// byDefault returns the lowest of the classes that are the default of all pods.
func (cs priorityClasses) byDefault() priority {
	p := priority{policy: corev1.PreemptLowerPriority}
	found := false
	for _, name := range slices.Sorted(maps.Keys(cs)) {
		if c := cs[name]; c.GlobalDefault && (!found || c.Value < p.value) {
			p, found = priority{name, c.Value, ptr.Deref(c.PreemptionPolicy, corev1.PreemptLowerPriority)}, true
		}
	}
	return p
}

// admit fills in what is decided for a pod when it is made.
func (p priority) admit(pod *corev1.Pod) {
	pod.Spec.PriorityClassName = p.class
	pod.Spec.Priority = ptr.To(p.value)
	pod.Spec.PreemptionPolicy = ptr.To(p.policy)
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = "default"
		pod.Spec.DeprecatedServiceAccount = "default"
	}
}
