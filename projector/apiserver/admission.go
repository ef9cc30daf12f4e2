package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds"
	"k8s.io/kubernetes/plugin/pkg/admission/nodetaint"
	"k8s.io/kubernetes/plugin/pkg/admission/priority"

	"rollcall/events/wire"
)

// admissions returns the admission of a cluster: namespaces of our own, which
// asks the table and no informer, and Kubernetes' own for the rest.
func admissions(namespaces *table, client kubernetes.Interface, factory informers.SharedInformerFactory) (admission.Interface, error) {
	priorities := priority.NewPlugin()
	priorities.SetExternalKubeClientSet(client)
	priorities.SetExternalKubeInformerFactory(factory)
	if err := priorities.ValidateInitialization(); err != nil {
		return nil, fmt.Errorf("admission of priorities: %w", err)
	}
	taints := nodetaint.NewPlugin()
	tolerations := defaulttolerationseconds.NewDefaultTolerationSeconds()
	tolerations.InspectFeatureGates(featureGate)
	return admission.NewChainHandler(&lifecycle{namespaces}, taints, priorities, tolerations), nil
}

// lifecycle refuses new objects in namespaces that are not there or end, and
// the deletion of the namespaces that a cluster needs.
type lifecycle struct{ namespaces *table }

var _ admission.MutationInterface = (*lifecycle)(nil)

// immortal are the namespaces that nobody deletes.
var immortal = map[string]bool{metav1.NamespaceDefault: true, metav1.NamespaceSystem: true, metav1.NamespacePublic: true}

var namespaceKind = schema.GroupKind{Kind: "Namespace"}

// Handles implements admission.Interface.
func (l *lifecycle) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update || op == admission.Delete
}

// Admit implements admission.MutationInterface; it changes nothing.
func (l *lifecycle) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	isNamespace := a.GetKind().GroupKind() == namespaceKind
	switch {
	case isNamespace && a.GetOperation() == admission.Delete && immortal[a.GetName()]:
		return apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(), fmt.Errorf("this namespace may not be deleted"))
	case isNamespace, a.GetNamespace() == "", a.GetOperation() == admission.Delete:
		return nil
	case a.GetResource().Group == "authorization.k8s.io":
		return nil // what one may do in a namespace says nothing about it
	}
	i := l.namespaces.get(a.GetNamespace())
	if i == nil && a.GetOperation() == admission.Update {
		return nil // a manifest may have been applied beside the API, in a namespace that nobody made
	}
	if i == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, a.GetNamespace())
	}
	if a.GetOperation() == admission.Create && namespacePhase(i.data) == corev1.NamespaceTerminating {
		return terminating(a)
	}
	return nil
}

func terminating(a admission.Attributes) error {
	err := admission.NewForbidden(a, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", a.GetNamespace()))
	if status, ok := err.(*apierrors.StatusError); ok {
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{
			Type:    corev1.NamespaceTerminatingCause,
			Message: fmt.Sprintf("namespace %s is being terminated", a.GetNamespace()),
			Field:   "metadata.namespace",
		})
	}
	return err
}

func namespacePhase(data []byte) corev1.NamespacePhase {
	var n corev1.Namespace
	if wire.Unmarshal(data, &n) != nil {
		return ""
	}
	return n.Status.Phase
}
