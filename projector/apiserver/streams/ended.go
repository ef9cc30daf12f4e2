package streams

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ended has a container end with the shell that somebody was attached to, as
// stdinOnce says; its pod is told by its status, from which the simulated kubelet
// goes on.
func (r runner) ended(ctx context.Context, spec *corev1.Container, code int) error {
	if !spec.StdinOnce || r.pod.Spec.RestartPolicy == corev1.RestartPolicyAlways {
		return nil
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	pods := r.options.Client.CoreV1().Pods(r.pod.Namespace)
	pod, err := pods.Get(ctx, r.pod.Name, metav1.GetOptions{})
	if err != nil || pod.UID != r.pod.UID {
		return nil // it is gone
	}
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if s.Name != spec.Name || s.State.Running == nil {
			continue
		}
		reason := "Completed"
		if code != 0 {
			reason = "Error"
		}
		s.Ready = false
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: int32(code), Reason: reason,
			StartedAt: s.State.Running.StartedAt, FinishedAt: metav1.NewTime(r.options.Now()), ContainerID: s.ContainerID}}
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{FieldManager: "kubelet"})
	}
	return err
}
