package apiserver

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
)

// Unattended says of an object of k8s.io/api that is about to be made why nobody
// will act on it, in a sentence without an end; empty: somebody will.
type Unattended func(o runtime.Object) string

// attendance warns who makes an object that nobody acts on: the API takes it as
// that of any cluster does, and then nothing happens.
type attendance map[events.Kind]Unattended

var _ admission.ValidationInterface = attendance{}

// Handles implements admission.Interface.
func (t attendance) Handles(op admission.Operation) bool { return op == admission.Create }

// Validate implements admission.ValidationInterface; it refuses nothing.
func (t attendance) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	kind := a.GetKind()
	why := t[events.Kind(kind.Kind)]
	if _, kept := events.Kept(kind.Group, events.Kind(kind.Kind)); why == nil || !kept || a.GetSubresource() != "" {
		return nil
	}
	o, err := legacyscheme.Scheme.ConvertToVersion(a.GetObject(), kind.GroupVersion())
	if err != nil {
		return nil // the registry tells what is wrong with it
	}
	if text := why(o); text != "" {
		warning.AddWarning(ctx, "", text)
	}
	return nil
}
