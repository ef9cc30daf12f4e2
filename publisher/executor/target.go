package executor

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/wire"
)

// target is an object of any kind whose metadata is to be changed. Of kinds
// other than namespaces the rest is kept byte for byte, and it is not read but
// for what a World is told of a pod.
type target struct {
	ref       events.Ref
	meta      *metav1.ObjectMeta
	pod       *corev1.Pod       // of a Pod
	namespace *corev1.Namespace // of a Namespace

	data []byte // of the whole object, as it was
}

// podHead is as much of a pod as a World is told that is to end or to change it.
type podHead struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		NodeName                      string `json:"nodeName"`
		TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds"`
	} `json:"spec"`
	Status struct {
		Phase corev1.PodPhase `json:"phase"`
	} `json:"status"`
}

func openTarget(o events.Object) (*target, error) {
	t := &target{ref: o.Ref, data: o.Data}
	switch o.Kind {
	case events.Pod:
		var h podHead
		err := o.Decode(&h)
		t.pod = &corev1.Pod{ObjectMeta: h.ObjectMeta, Status: corev1.PodStatus{Phase: h.Status.Phase},
			Spec: corev1.PodSpec{NodeName: h.Spec.NodeName, TerminationGracePeriodSeconds: h.Spec.TerminationGracePeriodSeconds}}
		t.meta = &t.pod.ObjectMeta
		return t, err
	case events.Namespace:
		t.namespace = new(corev1.Namespace)
		t.meta = &t.namespace.ObjectMeta
		return t, o.Decode(t.namespace)
	}
	t.meta = new(metav1.ObjectMeta)
	if err := wire.Unmarshal(wire.Field(o.Data, "metadata"), t.meta); err != nil {
		return nil, fmt.Errorf("decode metadata of %s %s: %w", o.Kind, o.Key, err)
	}
	return t, nil
}

// became takes what a World has made of a pod that it was given: the pod itself,
// of which the World has changed the metadata, or a whole one of its own.
func (t *target) became(given, pod *corev1.Pod) error {
	t.pod, t.meta = pod, &pod.ObjectMeta
	if pod == given {
		return nil
	}
	o, err := events.NewObject(t.ref.Kind, pod)
	t.data = o.Data
	return err
}

// object returns the object as it is now.
func (t *target) object() (events.Object, error) {
	if t.namespace != nil {
		return events.NewObject(t.ref.Kind, t.namespace)
	}
	meta, err := wire.Marshal(t.meta)
	if err != nil {
		return events.Object{}, fmt.Errorf("encode metadata of %s %s: %w", t.ref.Kind, t.ref.Key, err)
	}
	data, err := wire.With(t.data, "metadata", meta)
	return events.Object{Ref: t.ref, Data: data}, err
}

// held reports whether something has to happen before a deleted object is gone.
func (t *target) held() bool {
	return len(t.meta.Finalizers) > 0 || t.namespace != nil && len(t.namespace.Spec.Finalizers) > 0
}

// release takes a finalizer off and reports whether it was there.
func (t *target) release(finalizer string) bool {
	n := len(t.meta.Finalizers)
	t.meta.Finalizers = slices.DeleteFunc(t.meta.Finalizers, func(f string) bool { return f == finalizer })
	return len(t.meta.Finalizers) < n
}
