package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"rollcall/events"
	"rollcall/publisher/executor"
)

// manager is who writes, as managedFields have it.
const manager = "rollcall"

func keyOf(o metav1.Object) events.Key {
	return events.Key{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Create implements executor.World: the pod has a mark that says which command it is for.
func (w *World) Create(ctx context.Context, c executor.Creation) (*corev1.Pod, error) {
	if !w.rights.Control {
		return nil, notOurs
	}
	ctx, leave, err := w.enterAs(ctx, w.creates)
	if err != nil {
		return nil, err
	}
	defer leave()
	key := keyOf(c.Pod)
	if err := w.permit(ctx, key, lastBasis); err != nil {
		return nil, err
	}
	mark := markOf(w.mark, c.Cause)
	client, pod := w.client.CoreV1(), new(corev1.Pod)
	err = once(client.RESTClient().Post(), key, &metav1.CreateOptions{FieldManager: manager}).Body(requestOf(c.Pod, mark)).Do(ctx).Into(pod)
	if apierrors.IsAlreadyExists(err) {
		var is *corev1.Pod
		if is, err = client.Pods(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{}); err == nil {
			pod, err = is, sameName(is, c.Pod, mark)
		}
		var late *executor.Overtaken
		if errors.As(err, &late) { // by whom?
			w.suspect()
		}
	}
	if err != nil {
		return nil, w.why(ctx, key.Namespace, err)
	}
	pod.ManagedFields = nil
	return pod, nil
}

// Update implements executor.World: it gives a pod other owners, if it is as it was
// decided upon.
func (w *World) Update(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	if !w.rights.Control {
		return nil, notOurs
	}
	ctx, leave, err := w.enterAs(ctx, w.ends)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := w.permit(ctx, keyOf(pod), lastBasis); err != nil {
		return nil, err
	}
	owners := pod.OwnerReferences
	if owners == nil {
		owners = []metav1.OwnerReference{}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion, "ownerReferences": owners}})
	if err != nil {
		return nil, err
	}
	is := new(corev1.Pod)
	err = once(w.client.CoreV1().RESTClient().Patch(types.MergePatchType), keyOf(pod), &metav1.PatchOptions{FieldManager: manager}).Name(pod.Name).Body(patch).Do(ctx).Into(is)
	if err != nil {
		return nil, w.why(ctx, pod.Namespace, err)
	}
	is.ManagedFields = nil
	return is, nil
}

// Delete implements executor.World. Where pods are the cluster's own controller's it
// evicts if that is allowed, so that PodDisruptionBudgets have their say. A pod that is
// deleted for what it is has to be as it was decided upon.
func (w *World) Delete(ctx context.Context, d executor.Deletion) (pod *corev1.Pod, gone bool, err error) {
	ctx, leave, err := w.enterAs(ctx, w.ends)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	if err := w.permit(ctx, keyOf(d.Pod), basisOf(d)); err != nil {
		return nil, false, err
	}
	is, err := w.end(ctx, d)
	switch {
	case err != nil:
		return nil, false, w.why(ctx, d.Pod.Namespace, err)
	case ends(is) && is.UID == d.Pod.UID:
		is.ManagedFields = nil
		return is, false, nil
	}
	return w.look(ctx, d.Pod)
}

// ends reports whether a pod is one that is being deleted, and there until its time has
// passed: of one that is gone at once an answer says no more than how it was.
func ends(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil && p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds > 0
}

// once is a request about pods that is made once: a client that waits by itself, as long
// as an answer says, would do nothing else until then, and nobody could see why.
func once(r *rest.Request, pod events.Key, options runtime.Object) *rest.Request {
	return r.MaxRetries(0).Namespace(pod.Namespace).Resource("pods").VersionedParams(options, scheme.ParameterCodec)
}

// end asks the cluster to end a pod, and returns what it says that the pod is: nothing, if
// that is an eviction.
func (w *World) end(ctx context.Context, d executor.Deletion) (*corev1.Pod, error) {
	p, is, client := d.Pod, new(corev1.Pod), w.client.CoreV1().RESTClient()
	o := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}}
	if asItWas(d.Reason) {
		o.Preconditions.ResourceVersion = &p.ResourceVersion
	}
	if w.rights.Evict {
		return is, once(client.Post(), keyOf(p), &metav1.CreateOptions{}).Name(p.Name).SubResource("eviction").
			Body(&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, DeleteOptions: o}).Do(ctx).Error()
	}
	return is, once(client.Delete(), keyOf(p), &metav1.DeleteOptions{}).Name(p.Name).Body(o).Do(ctx).Into(is)
}

// look returns what has become of a pod that was asked to end. A list of its name has a
// revision also if the pod is not in it: what is heard of the pod until then is old.
func (w *World) look(ctx context.Context, was *corev1.Pod) (pod *corev1.Pod, gone bool, err error) {
	list, err := w.client.CoreV1().Pods(was.Namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", was.Name).String()})
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("see what has become of pod %s/%s: %w", was.Namespace, was.Name, err)
	case len(list.Items) == 0:
		was.ResourceVersion = list.ResourceVersion
	case list.Items[0].UID == was.UID:
		pod = &list.Items[0]
		pod.ManagedFields = nil
		return pod, false, nil
	}
	return was, true, nil
}

// why says what an error means for the command. A right that is missing is nobody's
// refusal of the pod: it is tried again until somebody has given it.
func (w *World) why(ctx context.Context, namespace string, err error) error {
	if lacks := w.forbidden(ctx, namespace, err); lacks != nil {
		return lacks
	}
	return answered(err)
}

// forbidden says which right is missing in a namespace if that is what an error means.
func (w *World) forbidden(ctx context.Context, namespace string, err error) error {
	if !apierrors.IsForbidden(err) {
		return nil
	}
	if lacks := w.lacks(ctx, w.rights, namespace); lacks != "" {
		return w.missing(w.rights, lacks, namespace)
	}
	return nil
}
