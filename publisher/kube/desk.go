package kube

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"rollcall/events"
)

// Write makes a revision of a controller, or the status of a DaemonSet, so in the cluster,
// and returns the object as it came back, or as it was last. ErrConflict says that the
// cluster has something else by now: it is to be decided again when that was heard.
func (w *World) Write(ctx context.Context, verb string, o metav1.Object) (is metav1.Object, err error) {
	ctx, leave, err := w.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := w.answers(ctx); err != nil {
		return nil, err
	}
	if w.taken().IsZero() {
		return nil, fmt.Errorf("the cluster is not controlled: %w", events.ErrConflict)
	}
	switch o := o.(type) {
	case *appsv1.DaemonSet:
		is, err = w.status(ctx, o)
	case *appsv1.ControllerRevision:
		is, err = w.revision(ctx, verb, o)
	default:
		return nil, fmt.Errorf("a controller writes no %T", o)
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w: %w", events.ErrConflict, err)
	case err != nil:
		if lacks := w.forbidden(ctx, o.GetNamespace(), err); lacks != nil {
			return nil, lacks
		}
		return nil, err
	}
	is.SetManagedFields(nil)
	return is, nil
}

// status writes the status of a DaemonSet. What comes back is read whole, as it is heard:
// a field that is not compiled in must not be gone from the log by this.
func (w *World) status(ctx context.Context, o *appsv1.DaemonSet) (metav1.Object, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: fields}
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(string(events.DaemonSet)))
	r := resource{kind: events.DaemonSet, plural: "daemonsets"}
	is, err := w.whole.Resource(r.named()).Namespace(o.Namespace).UpdateStatus(ctx, u, metav1.UpdateOptions{FieldManager: manager})
	if err != nil {
		return nil, err
	}
	untyped(is)
	return is, nil
}

// revision writes a revision. One whose name is there already comes back as what has the
// name: an earlier try has made it, or it is nobody's that the log knows of, and then the
// controller counts a collision and takes another name.
func (w *World) revision(ctx context.Context, verb string, o *appsv1.ControllerRevision) (metav1.Object, error) {
	revisions := w.client.AppsV1().ControllerRevisions(o.Namespace)
	switch verb {
	case events.VerbCreated:
		o = o.DeepCopy()
		o.UID, o.ResourceVersion, o.CreationTimestamp = "", "", metav1.Time{}
		is, err := revisions.Create(ctx, o, metav1.CreateOptions{FieldManager: manager})
		if apierrors.IsAlreadyExists(err) {
			return revisions.Get(ctx, o.Name, metav1.GetOptions{})
		}
		return is, err
	case events.VerbUpdated:
		return revisions.Update(ctx, o, metav1.UpdateOptions{FieldManager: manager})
	}
	of := metav1.Preconditions{UID: &o.UID, ResourceVersion: &o.ResourceVersion}
	return o.DeepCopy(), revisions.Delete(ctx, o.Name, metav1.DeleteOptions{Preconditions: &of})
}
