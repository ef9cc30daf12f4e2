package simkubelet

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// change is what a scheduler and a kubelet write into a pod's status.
type change struct {
	pod *corev1.Pod
	at  metav1.Time
}

// set sets a condition; its transition time moves only if its status does.
func (c *change) set(kind corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) {
	n := corev1.PodCondition{Type: kind, Status: status, Reason: reason, Message: message,
		LastTransitionTime: c.at, ObservedGeneration: c.pod.Generation}
	if old := condition(c.pod, kind); old != nil {
		if old.Status == status {
			n.LastTransitionTime = old.LastTransitionTime
		}
		*old = n
		return
	}
	c.pod.Status.Conditions = append(c.pod.Status.Conditions, n)
}

func (c *change) unfit(message string) {
	c.set(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable, message)
}

// unready says that no container is ready.
func (c *change) unready() {
	const message = "containers are not ready"
	c.set(corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady", message)
	c.set(corev1.ContainersReady, corev1.ConditionFalse, "ContainersNotReady", message)
}

// accept is the pod in the hands of its kubelet, with its address.
func (c *change) accept(ip string) {
	s := &c.pod.Status
	s.ObservedGeneration = c.pod.Generation
	s.StartTime = ptr.To(c.at)
	s.PodIP = ip
	s.PodIPs = nil
	if ip != "" {
		s.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	c.set(corev1.PodScheduled, corev1.ConditionTrue, "", "")
	if len(c.pod.Spec.InitContainers) == 0 {
		c.set(corev1.PodInitialized, corev1.ConditionTrue, "", "")
	} else {
		c.set(corev1.PodInitialized, corev1.ConditionFalse, "ContainersNotInitialized", "init containers have not run")
	}
	c.unready()
	s.ContainerStatuses = c.waiting(c.pod.Spec.Containers, "ContainerCreating")
	s.InitContainerStatuses = c.waiting(c.pod.Spec.InitContainers, "PodInitializing")
}

func (c *change) waiting(cs []corev1.Container, reason string) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range cs {
		out = append(out, corev1.ContainerStatus{Name: cs[i].Name, Image: cs[i].Image, Started: ptr.To(false),
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}})
	}
	return out
}

// pullFailed is a pod of which an image is not there.
func (c *change) pullFailed() {
	c.initialized()
	for i := range c.pod.Status.ContainerStatuses {
		s := &c.pod.Status.ContainerStatuses[i]
		if f, _ := fateOfContainer(&c.pod.Spec, &c.pod.Spec.Containers[i]); f != missing {
			c.run(s)
			s.Ready = true
			continue
		}
		s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "ImagePullBackOff", Message: "Back-off pulling image \"" + s.Image + "\": ErrImagePull: not found"}}
	}
}

// start runs the containers: to the end if that is their fate, and until they
// are ready if that takes no time.
func (c *change) start() {
	c.initialized()
	f, after := fateOfPod(&c.pod.Spec)
	c.pod.Status.Phase = corev1.PodRunning
	for i := range c.pod.Status.ContainerStatuses {
		c.startOne(&c.pod.Status.ContainerStatuses[i], &c.pod.Spec.Containers[i], f)
	}
	switch {
	case f == exits0:
		c.end(corev1.PodSucceeded, "PodCompleted")
	case f == exits1:
		c.end(corev1.PodFailed, "PodFailed")
	case (f == runs || f == completes) && after == 0:
		c.containersReady()
	}
}

// finish is a pod that is done with its work, and its sidecars with it.
func (c *change) finish() {
	for i := range c.pod.Status.ContainerStatuses {
		c.stop(&c.pod.Status.ContainerStatuses[i])
	}
	for i := range c.pod.Status.InitContainerStatuses {
		if s := &c.pod.Status.InitContainerStatuses[i]; s.State.Running != nil {
			c.stop(s)
		}
	}
	c.end(corev1.PodSucceeded, "PodCompleted")
}

func (c *change) stop(s *corev1.ContainerStatus) {
	s.State = corev1.ContainerState{Terminated: c.terminated(s, 0)}
	s.Ready, s.Started = false, ptr.To(false)
}

// startOne starts a container of a pod whose fate is f.
func (c *change) startOne(s *corev1.ContainerStatus, of *corev1.Container, f fate) {
	own, after := fateOfContainer(&c.pod.Spec, of)
	c.run(s)
	switch {
	case f == exits0 || f == exits1:
		// The pod ends, and the others with it.
		code := int32(0)
		if own == exits1 {
			code = 1
		}
		s.State = corev1.ContainerState{Terminated: c.terminated(s, code)}
		s.Started = ptr.To(false)
	case own == crashes:
		c.crashOne(s)
	default:
		s.Ready = after == 0
	}
}

// run is a container that just started.
func (c *change) run(s *corev1.ContainerStatus) {
	s.ContainerID = "containerd://" + hexDigest(string(c.pod.UID)+"/"+s.Name+"/"+strconv.Itoa(int(s.RestartCount)))
	s.ImageID = s.Image + "@sha256:" + hexDigest("image/"+s.Image)
	s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: c.at}}
	s.Started = ptr.To(true)
}

func (c *change) terminated(s *corev1.ContainerStatus, code int32) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Completed", StartedAt: c.at, FinishedAt: c.at, ContainerID: s.ContainerID}
	if s.State.Running != nil {
		t.StartedAt = s.State.Running.StartedAt
	}
	if code != 0 {
		t.Reason = "Error"
	}
	return t
}

func (c *change) end(phase corev1.PodPhase, reason string) {
	c.pod.Status.Phase = phase
	c.set(corev1.PodReady, corev1.ConditionFalse, reason, "")
	c.set(corev1.ContainersReady, corev1.ConditionFalse, reason, "")
}

// initialized is a pod whose init containers have run; those that restart
// always go on as sidecars.
func (c *change) initialized() {
	c.sized()
	c.set(corev1.PodInitialized, corev1.ConditionTrue, "", "")
	for i := range c.pod.Status.InitContainerStatuses {
		s := &c.pod.Status.InitContainerStatuses[i]
		c.run(s)
		s.Ready = true
		if p := c.pod.Spec.InitContainers[i].RestartPolicy; p == nil || *p != corev1.ContainerRestartPolicyAlways {
			s.State = corev1.ContainerState{Terminated: c.terminated(s, 0)}
			s.Started = ptr.To(false)
		}
	}
}

// sized gives a pod as many statuses as containers: those that somebody else
// wrote need not match.
func (c *change) sized() {
	if len(c.pod.Status.ContainerStatuses) != len(c.pod.Spec.Containers) {
		c.pod.Status.ContainerStatuses = c.waiting(c.pod.Spec.Containers, "ContainerCreating")
	}
	if len(c.pod.Status.InitContainerStatuses) != len(c.pod.Spec.InitContainers) {
		c.pod.Status.InitContainerStatuses = c.waiting(c.pod.Spec.InitContainers, "PodInitializing")
	}
}

// containersReady is a pod that is ready.
func (c *change) containersReady() {
	for i := range c.pod.Status.ContainerStatuses {
		c.pod.Status.ContainerStatuses[i].Ready = true
	}
	c.set(corev1.ContainersReady, corev1.ConditionTrue, "", "")
	c.set(corev1.PodReady, corev1.ConditionTrue, "", "")
}

// crash ends the containers that crash once more.
func (c *change) crash() {
	c.sized()
	for i := range c.pod.Status.ContainerStatuses {
		s := &c.pod.Status.ContainerStatuses[i]
		if f, _ := fateOfContainer(&c.pod.Spec, &c.pod.Spec.Containers[i]); f == crashes {
			c.run(s)
			c.crashOne(s)
		}
	}
}

func (c *change) crashOne(s *corev1.ContainerStatus) {
	s.LastTerminationState = corev1.ContainerState{Terminated: c.terminated(s, 1)}
	s.RestartCount++
	s.Ready, s.Started = false, ptr.To(false)
	s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: "back-off restarting failed container " + s.Name}}
}
