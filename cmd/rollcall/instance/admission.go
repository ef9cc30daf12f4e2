package instance

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"rollcall/publisher/executor"
)

// admit decides about pods that the executor makes. It waits for the API, which
// is made after the log is read.
func (in *Instance) admit(ctx context.Context, pod *corev1.Pod) error {
	select {
	case <-in.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := in.Served.Server.AdmitPod(ctx, pod)
	var refused apierrors.APIStatus
	if !errors.As(err, &refused) {
		return err
	}
	reason := string(refused.Status().Reason)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		reason = string(corev1.NamespaceTerminatingCause) // nobody has to be told
	}
	return &executor.Refusal{Reason: reason, Message: refused.Status().Message}
}
