package instance

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"rollcall/projector/apiserver"
	"rollcall/publisher/executor"
)

// admission returns what decides about pods that the executor makes.
func (in *Instance) admission() (func(context.Context, *corev1.Pod) error, error) {
	a, err := apiserver.NewAdmission(in.State.Objects())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, pod *corev1.Pod) error {
		err := a.AdmitPod(ctx, in.Log, pod)
		var refused apierrors.APIStatus
		if !errors.As(err, &refused) {
			return err
		}
		reason := string(refused.Status().Reason)
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			reason = string(corev1.NamespaceTerminatingCause) // nobody has to be told
		}
		return &executor.Refusal{Reason: reason, Message: refused.Status().Message}
	}, nil
}
