package story

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// PodStatus returns what kubectl shows under STATUS.
func PodStatus(p *corev1.Pod) string { return lookAt(p).status }

// podLook is what the containers of a pod amount to in a table.
type podLook struct {
	status      string
	ready, all  int
	restarts    int
	restartedAt time.Time // the last of them; zero: not known
}

// lookAt goes through a pod as kubectl does: the phase, then why it is in it,
// then the first init container that holds it up; only behind those do the
// containers count.
func lookAt(p *corev1.Pod) podLook {
	l := podLook{status: cmp.Or(p.Status.Reason, string(p.Status.Phase)), all: len(p.Spec.Containers)}
	if slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated
	}) {
		l.status = corev1.PodReasonSchedulingGated
	}
	sidecars := sidecarsOf(p)
	l.all += len(sidecars)
	if !l.initContainers(p, sidecars) || isTrue(p.Status.Conditions, corev1.PodInitialized) {
		l.initialized(p, sidecars)
	}
	terminal := p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	switch {
	case p.DeletionTimestamp == nil:
	case p.Status.Reason == "NodeLost":
		l.status = "Unknown"
	case !terminal:
		l.status = "Terminating"
	}
	return l
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

func (l *podLook) restarted(s *corev1.ContainerStatus) {
	l.restarts += int(s.RestartCount)
	if t := s.LastTerminationState.Terminated; t != nil && t.FinishedAt.After(l.restartedAt) {
		l.restartedAt = t.FinishedAt.Time
	}
}

// initContainers reports whether an init container holds the pod up. Those
// behind it do not count.
func (l *podLook) initContainers(p *corev1.Pod, sidecars map[string]bool) (held bool) {
	for i := range p.Status.InitContainerStatuses {
		s := &p.Status.InitContainerStatuses[i]
		l.restarted(s)
		ended, waiting := s.State.Terminated, s.State.Waiting
		switch {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecars[s.Name] && s.Started != nil && *s.Started:
			if s.Ready {
				l.ready++
			}
			continue
		case ended != nil:
			l.status = "Init:" + endText(ended)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			l.status = "Init:" + waiting.Reason
		default:
			l.status = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

// initialized takes in the containers, last first, so that the first has the
// last word. Restarts of init containers that are done are forgotten.
func (l *podLook) initialized(p *corev1.Pod, sidecars map[string]bool) {
	l.restarts, l.restartedAt = 0, time.Time{}
	for i := range p.Status.InitContainerStatuses {
		if s := &p.Status.InitContainerStatuses[i]; sidecars[s.Name] {
			l.restarted(s)
		}
	}
	running, failure := false, ""
	for i := range p.Status.ContainerStatuses {
		s := &p.Status.ContainerStatuses[len(p.Status.ContainerStatuses)-1-i]
		l.restarted(s)
		switch ended, waiting := s.State.Terminated, s.State.Waiting; {
		case waiting != nil && waiting.Reason != "":
			l.status = waiting.Reason
		case ended != nil:
			l.status = endText(ended)
			if ended.ExitCode != 0 {
				failure = l.status
			}
		case s.Ready && s.State.Running != nil:
			running = true
			l.ready++
		}
	}
	if l.status != "Completed" {
		return
	}
	switch {
	case running && isTrue(p.Status.Conditions, corev1.PodReady):
		l.status = "Running"
	case failure != "":
		l.status = failure
	case running:
		l.status = "NotReady"
	}
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

func (l *podLook) restartText(now time.Time) string {
	s := strconv.Itoa(l.restarts)
	if l.restarts != 0 && !l.restartedAt.IsZero() {
		s += " (" + age(l.restartedAt, now) + " ago)"
	}
	return s
}

func isTrue(conditions []corev1.PodCondition, t corev1.PodConditionType) bool {
	return slices.ContainsFunc(conditions, func(c corev1.PodCondition) bool {
		return c.Type == t && c.Status == corev1.ConditionTrue
	})
}
