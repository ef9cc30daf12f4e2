package story

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// podStatus returns what kubectl shows under STATUS: the phase of a pod, then
// why it is in it, then the first init container that holds it up; only behind
// those do the containers count.
func podStatus(p *corev1.Pod) string {
	status := cmp.Or(p.Status.Reason, string(p.Status.Phase))
	if slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated
	}) {
		status = corev1.PodReasonSchedulingGated
	}
	held := initStatus(p)
	status = cmp.Or(held, status)
	if held == "" || isTrue(p.Status.Conditions, corev1.PodInitialized) {
		status = containerStatus(p, status)
	}
	terminal := p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	switch {
	case p.DeletionTimestamp == nil:
	case p.Status.Reason == "NodeLost":
		return "Unknown"
	case !terminal:
		return "Terminating"
	}
	return status
}

// sidecarsOf returns the names of the init containers that run beside the others.
func sidecarsOf(p *corev1.Pod) map[string]bool {
	names := map[string]bool{}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			names[c.Name] = true
		}
	}
	return names
}

// initStatus returns the status of a pod that an init container holds up, and
// an empty one of a pod that none does.
func initStatus(p *corev1.Pod) string {
	sidecars := sidecarsOf(p)
	for i := range p.Status.InitContainerStatuses {
		s := &p.Status.InitContainerStatuses[i]
		switch ended, waiting := s.State.Terminated, s.State.Waiting; {
		case ended != nil && ended.ExitCode == 0:
		case sidecars[s.Name] && s.Started != nil && *s.Started:
		case ended != nil:
			return "Init:" + endText(ended)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			return "Init:" + waiting.Reason
		default:
			return fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
	}
	return ""
}

// containerStatus takes in the containers, last first, so that the first has the
// last word.
func containerStatus(p *corev1.Pod, status string) string {
	running, failure := false, ""
	for i := range p.Status.ContainerStatuses {
		s := &p.Status.ContainerStatuses[len(p.Status.ContainerStatuses)-1-i]
		switch ended, waiting := s.State.Terminated, s.State.Waiting; {
		case waiting != nil && waiting.Reason != "":
			status = waiting.Reason
		case ended != nil:
			status = endText(ended)
			if ended.ExitCode != 0 {
				failure = status
			}
		case s.Ready && s.State.Running != nil:
			running = true
		}
	}
	switch {
	case status != "Completed":
		return status
	case running && isTrue(p.Status.Conditions, corev1.PodReady):
		return "Running"
	case failure != "":
		return failure
	case running:
		return "NotReady"
	}
	return status
}

// endText says how a container ended.
func endText(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

func isTrue(conditions []corev1.PodCondition, t corev1.PodConditionType) bool {
	return slices.ContainsFunc(conditions, func(c corev1.PodCondition) bool {
		return c.Type == t && c.Status == corev1.ConditionTrue
	})
}
