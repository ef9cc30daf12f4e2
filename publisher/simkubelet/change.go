package simkubelet

import (
	"cmp"
	"fmt"
	"slices"
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

// unready says which containers are not ready, as a kubelet does: sidecars first.
func (c *change) unready() {
	var names []string
	for i := range c.pod.Status.InitContainerStatuses {
		if s := &c.pod.Status.InitContainerStatuses[i]; sidecar(&c.pod.Spec.InitContainers[i]) && !s.Ready {
			names = append(names, s.Name)
		}
	}
	for i := range c.pod.Status.ContainerStatuses {
		if s := &c.pod.Status.ContainerStatuses[i]; !s.Ready {
			names = append(names, s.Name)
		}
	}
	message := fmt.Sprintf("containers with unready status: %s", names)
	c.set(corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady", message)
	c.set(corev1.ContainersReady, corev1.ConditionFalse, "ContainersNotReady", message)
}

// kubeletsOrder is how a kubelet writes its conditions, behind those of others.
var kubeletsOrder = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
}

func (c *change) order() {
	slices.SortStableFunc(c.pod.Status.Conditions, func(a, b corev1.PodCondition) int {
		return cmp.Compare(slices.Index(kubeletsOrder, a.Type), slices.Index(kubeletsOrder, b.Type))
	})
}

// accept is the pod in the hands of its kubelet, with its address.
func (c *change) accept(ip string) {
	s := &c.pod.Status
	s.ObservedGeneration = c.pod.Generation
	s.Resources = cmp.Or(c.pod.Spec.Resources, &corev1.ResourceRequirements{}).DeepCopy()
	s.StartTime = ptr.To(c.at)
	s.PodIP = ip
	s.PodIPs = nil
	if ip != "" {
		s.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	c.set(corev1.PodScheduled, corev1.ConditionTrue, "", "")
	c.set(corev1.PodReadyToStartContainers, corev1.ConditionFalse, "", "")
	if len(c.pod.Spec.InitContainers) == 0 {
		c.set(corev1.PodInitialized, corev1.ConditionTrue, "", "")
	} else {
		var names []string
		for i := range c.pod.Spec.InitContainers {
			names = append(names, c.pod.Spec.InitContainers[i].Name)
		}
		c.set(corev1.PodInitialized, corev1.ConditionFalse, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: %s", names))
	}
	s.ContainerStatuses = c.waiting(c.pod.Spec.Containers, "ContainerCreating")
	s.InitContainerStatuses = c.waiting(c.pod.Spec.InitContainers, "PodInitializing")
	c.unready()
	c.order()
}

func (c *change) waiting(cs []corev1.Container, reason string) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range cs {
		out = append(out, corev1.ContainerStatus{Name: cs[i].Name, Image: cs[i].Image, Started: ptr.To(false),
			Resources: cs[i].Resources.DeepCopy(), AllocatedResources: cs[i].Resources.Requests.DeepCopy(),
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
	c.unready()
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
	default:
		c.unready()
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
	c.set(corev1.PodReadyToStartContainers, corev1.ConditionFalse, "", "")
	if phase == corev1.PodSucceeded {
		c.set(corev1.PodInitialized, corev1.ConditionTrue, reason, "")
	}
	c.set(corev1.PodReady, corev1.ConditionFalse, reason, "")
	c.set(corev1.ContainersReady, corev1.ConditionFalse, reason, "")
}

// initialized is a pod whose init containers have run; those that restart
// always go on as sidecars.
func (c *change) initialized() {
	c.sized()
	c.set(corev1.PodReadyToStartContainers, corev1.ConditionTrue, "", "")
	c.set(corev1.PodInitialized, corev1.ConditionTrue, "", "")
	for i := range c.pod.Status.InitContainerStatuses {
		s := &c.pod.Status.InitContainerStatuses[i]
		c.run(s)
		s.Ready = true
		if !sidecar(&c.pod.Spec.InitContainers[i]) {
			s.State = corev1.ContainerState{Terminated: c.terminated(s, 0)}
			s.Started = ptr.To(false)
		}
	}
}

func sidecar(init *corev1.Container) bool {
	return init.RestartPolicy != nil && *init.RestartPolicy == corev1.ContainerRestartPolicyAlways
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
