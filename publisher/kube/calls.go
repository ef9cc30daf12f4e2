package kube

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

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
	ctx, leave, err := w.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	key := keyOf(c.Pod)
	if err := w.permit(ctx, key, lastBasis); err != nil {
		return nil, err
	}
	mark := markOf(w.mark, c.Cause)
	pods := w.client.CoreV1().Pods(key.Namespace)
	pod, err := pods.Create(ctx, requestOf(c.Pod, mark), metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) {
		var is *corev1.Pod
		if is, err = pods.Get(ctx, key.Name, metav1.GetOptions{}); err == nil {
			pod, err = is, sameName(is, c.Pod, mark)
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
	ctx, leave, err := w.enter(ctx)
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
	is, err := w.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
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
	ctx, leave, err := w.enter(ctx)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	if err := w.permit(ctx, keyOf(d.Pod), basisOf(d)); err != nil {
		return nil, false, err
	}
	if err := w.end(ctx, d); err != nil {
		return nil, false, w.why(ctx, d.Pod.Namespace, err)
	}
	return w.look(ctx, d.Pod)
}

// end asks the cluster to end a pod. It asks once: a client that waits by itself, as long
// as an answer says, would do nothing else until then, and nobody could see why.
func (w *World) end(ctx context.Context, d executor.Deletion) error {
	p, client := d.Pod, w.client.CoreV1().RESTClient()
	o := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}}
	if asItWas(d.Reason) {
		o.Preconditions.ResourceVersion = &p.ResourceVersion
	}
	ask := client.Delete().Namespace(p.Namespace).Resource("pods").Name(p.Name).Body(o)
	if w.rights.Evict {
		ask = client.Post().Namespace(p.Namespace).Resource("pods").Name(p.Name).SubResource("eviction").
			Body(&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, DeleteOptions: o})
	}
	return ask.MaxRetries(0).Do(ctx).Error()
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
	if apierrors.IsForbidden(err) {
		if lacks := w.lacks(ctx, w.rights, namespace); lacks != "" {
			return w.missing(w.rights, lacks, namespace)
		}
	}
	return answered(err)
}
