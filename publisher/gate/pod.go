package gate

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/publisher"
)

// bind gives a pod that is made for a node to that node, as a scheduler does. Who
// runs the pods of the node has taken it.
func (t *told) bind(p *corev1.Pod, node string) {
	if p.Spec.NodeName == "" {
		p.Spec.NodeName = node
	}
	t.podCondition(p, corev1.PodScheduled, corev1.ConditionTrue, "", "")
}

// run makes the status of a pod what its agent tells. What is not told stays, and
// what follows from it is filled in as a kubelet reports it.
func (t *told) run(p *corev1.Pod, o publisher.PodStatus) *publisher.Problem {
	s := &p.Status
	s.Phase = cmp.Or(corev1.PodPhase(o.Phase), s.Phase, corev1.PodPending)
	if o.Phase != "" || o.Reason != "" || o.Message != "" {
		s.Reason, s.Message = o.Reason, o.Message
	}
	if s.StartTime == nil {
		at := t.stamp(o.StartTime)
		s.StartTime = &at
	}
	s.HostIP = cmp.Or(o.HostIP, s.HostIP)
	if o.HostIP != "" {
		s.HostIPs = []corev1.HostIP{{IP: o.HostIP}}
	}
	if o.PodIP != "" {
		s.PodIP, s.PodIPs = o.PodIP, []corev1.PodIP{{IP: o.PodIP}}
	}
	if errs := t.containers(p, o); len(errs) > 0 {
		return dataProblem(errs)
	}
	ready := t.ready(p, o)
	if ready && s.Phase != corev1.PodRunning {
		return dataProblem([]publisher.ProblemError{{Pointer: "/data/ready", Expected: "false", Got: "true",
			Hint: fmt.Sprintf("only a running pod is ready, and this one is %s", s.Phase)}})
	}
	t.conclude(p, ready)
	return nil
}

// ended reports whether nothing of a pod runs any more.
func ended(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return true
	}
	running := func(c corev1.ContainerStatus) bool { return c.State.Terminated == nil }
	return len(p.Status.ContainerStatuses) > 0 && !slices.ContainsFunc(p.Status.ContainerStatuses, running)
}

// ready says whether a pod is ready: as told, else if all its containers are that
// were told, else as it was.
func (t *told) ready(p *corev1.Pod, o publisher.PodStatus) bool {
	switch {
	case o.Ready != nil:
		return *o.Ready
	case p.Status.Phase != corev1.PodRunning:
		return false
	case len(o.Containers) > 0:
		return !slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return !c.Ready })
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// containers makes the statuses of containers what was told of them. A pod of which
// only the phase is told has containers that do the same.
func (t *told) containers(p *corev1.Pod, o publisher.PodStatus) (errs []publisher.ProblemError) {
	s := &p.Status
	for i, c := range o.Containers {
		spec := slices.IndexFunc(p.Spec.Containers, func(x corev1.Container) bool { return x.Name == c.Name })
		if spec < 0 {
			errs = append(errs, publisher.ProblemError{Pointer: fmt.Sprintf("/data/containers/%d/name", i), Expected: "a container of the pod", Got: quote(c.Name)})
			continue
		}
		t.container(status(s, p.Spec.Containers[spec]), c)
	}
	if o.Phase == "" && len(o.Containers) == 0 && o.Ready == nil {
		return errs
	}
	for _, spec := range p.Spec.Containers {
		c := status(s, spec)
		named := slices.ContainsFunc(o.Containers, func(x publisher.Container) bool { return x.Name == spec.Name })
		switch {
		case s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed:
			t.stop(c, s.Phase)
		case !named && s.Phase == corev1.PodRunning && c.State.Running == nil && c.State.Terminated == nil:
			c.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: t.stamp(nil)}}
		}
		if o.Ready != nil && !named && c.State.Running != nil {
			c.Ready = *o.Ready
		}
		started := c.State.Running != nil
		c.Started = &started
	}
	return errs
}

// status returns the status of a container of a pod, a new one if there is none.
func status(s *corev1.PodStatus, spec corev1.Container) *corev1.ContainerStatus {
	i := slices.IndexFunc(s.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.Name == spec.Name })
	if i < 0 {
		i = len(s.ContainerStatuses)
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{Name: spec.Name, Image: spec.Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}})
	}
	return &s.ContainerStatuses[i]
}

// container makes the status of a container what was told of it.
func (t *told) container(c *corev1.ContainerStatus, o publisher.Container) {
	c.Ready = o.Ready && o.State == "running"
	c.RestartCount = max(c.RestartCount, o.Restarts)
	c.Image, c.ImageID = cmp.Or(o.Image, c.Image), cmp.Or(o.ImageID, c.ImageID)
	switch o.State {
	case "waiting":
		c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: o.Reason, Message: o.Message}}
	case "running":
		began := t.stamp(o.StartedAt)
		if r := c.State.Running; r != nil && o.StartedAt == nil {
			began = r.StartedAt
		}
		c.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}
	case "terminated":
		end := corev1.ContainerStateTerminated{ExitCode: o.ExitCode, Reason: o.Reason, Message: o.Message, FinishedAt: t.stamp(o.FinishedAt)}
		if was := c.State.Terminated; was != nil && o.FinishedAt == nil {
			end.FinishedAt = was.FinishedAt
		}
		end.StartedAt = began(c)
		if o.StartedAt != nil {
			end.StartedAt = t.stamp(o.StartedAt)
		}
		end.Reason = cmp.Or(end.Reason, endReason(end.ExitCode))
		c.State = corev1.ContainerState{Terminated: &end}
	}
}

// began returns when a container was started, or zero.
func began(c *corev1.ContainerStatus) metav1.Time {
	switch {
	case c.State.Running != nil:
		return c.State.Running.StartedAt
	case c.State.Terminated != nil:
		return c.State.Terminated.StartedAt
	}
	return metav1.Time{}
}

func endReason(code int32) string {
	if code == 0 {
		return "Completed"
	}
	return "Error"
}

// stop has a container end as its pod has.
func (t *told) stop(c *corev1.ContainerStatus, phase corev1.PodPhase) {
	c.Ready = false
	if c.State.Terminated != nil {
		return
	}
	code := int32(0)
	if phase == corev1.PodFailed {
		code = 1
	}
	c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: endReason(code), StartedAt: began(c), FinishedAt: t.stamp(nil)}}
}

// conclude sets the conditions of a pod that follow from how it does.
func (t *told) conclude(p *corev1.Pod, ready bool) {
	is, reason, message := corev1.ConditionFalse, "ContainersNotReady", "containers are not ready"
	switch {
	case ready:
		is, reason, message = corev1.ConditionTrue, "", ""
	case p.Status.Phase == corev1.PodSucceeded:
		reason, message = "PodCompleted", ""
	case p.Status.Phase == corev1.PodFailed:
		reason, message = "PodFailed", ""
	}
	t.podCondition(p, corev1.PodInitialized, corev1.ConditionTrue, "", "")
	t.podCondition(p, corev1.ContainersReady, is, reason, message)
	t.podCondition(p, corev1.PodReady, is, reason, message)
}

// podCondition sets a condition of a pod. Its transition is that of its status.
func (t *told) podCondition(p *corev1.Pod, kind corev1.PodConditionType, is corev1.ConditionStatus, reason, message string) {
	now := corev1.PodCondition{Type: kind, Status: is, Reason: reason, Message: message, LastTransitionTime: t.stamp(nil)}
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		p.Status.Conditions = append(p.Status.Conditions, now)
		return
	}
	if was := p.Status.Conditions[i]; was.Status == is {
		now.LastTransitionTime, now.LastProbeTime = was.LastTransitionTime, was.LastProbeTime
	}
	p.Status.Conditions[i] = now
}
