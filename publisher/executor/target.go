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
// other than pods and namespaces the rest is kept byte for byte.
type target struct {
	ref       events.Ref
	meta      *metav1.ObjectMeta
	pod       *corev1.Pod       // of a Pod
	namespace *corev1.Namespace // of a Namespace

	data []byte // of the whole object, as it was
}

func openTarget(o events.Object) (*target, error) {
	t := &target{ref: o.Ref, data: o.Data}
	switch o.Kind {
	case events.Pod:
		t.pod = new(corev1.Pod)
		t.meta = &t.pod.ObjectMeta
		return t, o.Decode(t.pod)
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

// object returns the object as it is now.
func (t *target) object() (events.Object, error) {
	switch {
	case t.pod != nil:
		return events.NewObject(t.ref.Kind, t.pod)
	case t.namespace != nil:
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
