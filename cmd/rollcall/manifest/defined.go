package manifest

import (
	"context"
	"fmt"
	"time"

	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"

	"rollcall/events"
	"rollcall/projector/apiserver/extensions"
)

// definition is a CustomResourceDefinition of the manifests, as the server says
// that it is to be.
type definition struct {
	*extensionsv1.CustomResourceDefinition
	fresh bool // the server does not have it, or has it otherwise
}

// define notes what a definition of the manifests is to be, after its dry run.
func (a *Applier) define(ctx context.Context, e *entry) error {
	d, err := extensions.Definition(e.dry)
	if err != nil {
		return err
	}
	is, err := e.to.Get(ctx, e.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read %s: %w", e.is, err)
	}
	a.defined[schema.GroupKind{Group: d.Spec.Group, Kind: d.Spec.Names.Kind}] = definition{d, err != nil || is.GetGeneration() != e.dry.GetGeneration()}
	return nil
}

// try is the dry run of an object whose definition is to be made or changed with it:
// its schema is in hand, and nobody serves it yet. What of it is there already the
// server is asked.
func (a *Applier) try(ctx context.Context, e *entry, d definition, planned map[events.Ref]bool) (*unstructured.Unstructured, error) {
	if is, err := e.to.Get(ctx, e.GetName(), metav1.GetOptions{}); err == nil {
		if _, err := extensions.Try(ctx, d.CustomResourceDefinition, &unstructured.Unstructured{Object: e.Object}); err != nil {
			return nil, err
		}
		return is, nil
	} else if !apierrors.IsNotFound(err) {
		return nil, err
	}
	if ns := e.GetNamespace(); ns != "" && !planned[events.Ref{Kind: events.Namespace, Key: events.Key{Name: ns}}] {
		if _, err := a.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(ctx, ns, metav1.GetOptions{}); err != nil {
			return nil, err
		}
	}
	return extensions.Try(ctx, d.CustomResourceDefinition, &unstructured.Unstructured{Object: e.Object})
}

// How long a definition may take to be established, and how often it is looked at.
const (
	establishTime = time.Minute
	establishLook = 10 * time.Millisecond
)

// establish waits until the objects of a definition can be made.
func (e *entry) establish(ctx context.Context) error {
	var last *extensionsv1.CustomResourceDefinition
	err := wait.PollUntilContextTimeout(ctx, establishLook, establishTime, true, func(ctx context.Context) (bool, error) {
		is, err := e.to.Get(ctx, e.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		last, err = extensions.Definition(is)
		return err == nil && extensions.Established(last), err
	})
	if err == nil || last == nil {
		return err
	}
	for _, c := range last.Status.Conditions {
		if c.Type == extensionsv1.NamesAccepted && c.Status == extensionsv1.ConditionFalse {
			return e.refuse("E-MAN-REFUSED", "spec.names", c.Message, "")
		}
	}
	return fmt.Errorf("%s is not established: %w", e.is, err)
}
