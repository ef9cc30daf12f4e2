package story

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"rollcall/events"
)

// objectTypes are what the API reads the objects of a log as.
var objectTypes = map[events.Kind]func() any{
	events.ConfigMap:             func() any { return &corev1.ConfigMap{} },
	events.ControllerRevision:    func() any { return &appsv1.ControllerRevision{} },
	events.CronJob:               func() any { return &batchv1.CronJob{} },
	events.DaemonSet:             func() any { return &appsv1.DaemonSet{} },
	events.Deployment:            func() any { return &appsv1.Deployment{} },
	events.Job:                   func() any { return &batchv1.Job{} },
	events.Namespace:             func() any { return &corev1.Namespace{} },
	events.Node:                  func() any { return &corev1.Node{} },
	events.PersistentVolume:      func() any { return &corev1.PersistentVolume{} },
	events.PersistentVolumeClaim: func() any { return &corev1.PersistentVolumeClaim{} },
	events.Pod:                   func() any { return &corev1.Pod{} },
	events.PodDisruptionBudget:   func() any { return &policyv1.PodDisruptionBudget{} },
	events.PriorityClass:         func() any { return &schedulingv1.PriorityClass{} },
	events.ReplicaSet:            func() any { return &appsv1.ReplicaSet{} },
	events.RuntimeClass:          func() any { return &nodev1.RuntimeClass{} },
	events.Secret:                func() any { return &corev1.Secret{} },
	events.ServiceAccount:        func() any { return &corev1.ServiceAccount{} },
	events.StatefulSet:           func() any { return &appsv1.StatefulSet{} },
}

// unreadableText says that an object is none that Kubernetes reads; empty if
// it is one. Of a Secret it does not say why: the reason may quote a value.
func unreadableText(o events.Object) string {
	empty, ok := objectTypes[o.Kind]
	if !ok {
		return ""
	}
	err := o.Decode(empty())
	switch {
	case err == nil:
		return ""
	case o.Kind == events.Secret:
		return "; the API cannot read it"
	}
	return "; the API cannot read it: " + cut(err.Error(), maxValue)
}
