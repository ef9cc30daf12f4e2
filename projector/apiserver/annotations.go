package apiserver

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/kubernetes/pkg/apis/apps"
	api "k8s.io/kubernetes/pkg/apis/core"

	"rollcall/events"
)

// ownRules refuses what Kubernetes would take and what rollcall could not act
// on: rollcall's annotations with values that they do not take or under names
// that nothing reads, and the surge of a DaemonSet with a host port. It looks
// only at what a request changes, so that an object which is wrong already can
// still be changed.
type ownRules struct{}

var _ admission.ValidationInterface = ownRules{}

// Handles implements admission.Interface.
func (ownRules) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}

// Validate implements admission.ValidationInterface. Subresources are not left
// out: a write of the status may change annotations too.
func (ownRules) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	var errs field.ErrorList
	switch now := a.GetObject().(type) {
	case *apps.DaemonSet:
		errs = badAnnotations(events.DaemonSet, a.GetOldObject(), now)
		if old, ok := a.GetOldObject().(*apps.DaemonSet); !ok || len(sharedPorts(old)) == 0 {
			errs = append(errs, sharedPorts(now)...)
		}
	case *api.Node:
		errs = badAnnotations(events.Node, a.GetOldObject(), now)
	}
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(a.GetKind().GroupKind(), a.GetName(), errs)
}

// badAnnotations returns what is wrong with the annotations that now has got.
func badAnnotations(kind events.Kind, old runtime.Object, now metav1.Object) (errs field.ErrorList) {
	var before map[string]string
	if o, ok := old.(metav1.Object); ok {
		before = o.GetAnnotations()
	}
	for _, bad := range events.CheckAnnotations(kind, before, now.GetAnnotations()) {
		path := field.NewPath("metadata", "annotations").Key(bad.Key)
		if bad.Unknown {
			errs = append(errs, field.Forbidden(path, bad.Why))
			continue
		}
		errs = append(errs, field.Invalid(path, bad.Value, bad.Why))
	}
	return errs
}

// sharedPorts returns the ports of the node that the old and the new pod of a
// surge cannot both have: the new one would wait forever. A pod on the network
// of its node may share the ports that it only mentions (SO_REUSEPORT), and
// Kubernetes takes it, so it is taken here.
func sharedPorts(ds *apps.DaemonSet) (errs field.ErrorList) {
	u := ds.Spec.UpdateStrategy.RollingUpdate
	if u == nil || ds.Spec.UpdateStrategy.Type != apps.RollingUpdateDaemonSetStrategyType {
		return nil
	}
	if n, err := intstr.GetScaledValueFromIntOrPercent(&u.MaxSurge, 100, true); err != nil || n == 0 {
		return nil
	}
	path := field.NewPath("spec", "template", "spec", "containers")
	for i, c := range ds.Spec.Template.Spec.Containers {
		for j, p := range c.Ports {
			if p.HostPort != 0 {
				errs = append(errs, field.Forbidden(path.Index(i).Child("ports").Index(j).Child("hostPort"),
					fmt.Sprintf("the old and the new pod of a surge cannot share host port %d: use maxUnavailable instead of maxSurge", p.HostPort)))
			}
		}
	}
	return errs
}
