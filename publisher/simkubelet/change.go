package simkubelet

import (
	"cmp"
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

// What a container waits for that was not started yet.
const (
	creating     = "ContainerCreating"
	initializing = "PodInitializing" // of a pod with init containers
)

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

// accept has the status of a pod say that its kubelet has taken it, and its address.
func (c *change) accept(ip string) {
	s := &c.pod.Status
	s.Resources = cmp.Or(c.pod.Spec.Resources, &corev1.ResourceRequirements{}).DeepCopy()
	s.StartTime = ptr.To(c.at)
	s.PodIP = ip
	s.PodIPs = nil
	if ip != "" {
		s.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	s.ContainerStatuses, s.InitContainerStatuses = nil, nil
	c.sized()
	c.conditions(slots(c.pod, nil))
}

// reject has the status of a pod say why its kubelet does not take it.
func (c *change) reject(r rejection) {
	s := &c.pod.Status
	s.ObservedGeneration = c.pod.Generation
	s.Phase, s.Reason, s.Message = corev1.PodFailed, r.reason, rejected+r.message
	s.StartTime = ptr.To(c.at)
}

// rejected begins the message of a pod that its kubelet does not take.
const rejected = "Pod was rejected: "

// sized gives a pod a status for each of its containers, in their order: those
// that somebody else wrote need not match.
func (c *change) sized() {
	reason := creating
	if len(c.pod.Spec.InitContainers) > 0 {
		reason = initializing
	}
	s, spec := &c.pod.Status, &c.pod.Spec
	s.InitContainerStatuses = match(s.InitContainerStatuses, spec.InitContainers, reason)
	s.ContainerStatuses = match(s.ContainerStatuses, spec.Containers, reason)
	if len(spec.EphemeralContainers) > 0 {
		s.EphemeralContainerStatuses = match(s.EphemeralContainerStatuses, debuggers(c.pod), reason)
	}
}

// match returns one status for each container: that of have with its name, or a
// new one that waits.
func match(have []corev1.ContainerStatus, of []corev1.Container, reason string) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range of {
		c := &of[i]
		if at := slices.IndexFunc(have, func(s corev1.ContainerStatus) bool { return s.Name == c.Name }); at >= 0 {
			out = append(out, have[at])
			continue
		}
		out = append(out, corev1.ContainerStatus{Name: c.Name, Image: c.Image, Started: ptr.To(false),
			Resources: c.Resources.DeepCopy(), AllocatedResources: c.Resources.Requests.DeepCopy(),
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}})
	}
	return out
}

// run has the status of a container say that it has just started.
func (c *change) run(s *corev1.ContainerStatus) {
	s.ContainerID = "containerd://" + hexDigest(string(c.pod.UID)+"/"+s.Name+"/"+strconv.Itoa(int(s.RestartCount)))
	s.ImageID = s.Image + "@sha256:" + hexDigest("image/"+s.Image)
	s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: c.at}}
	s.Started = ptr.To(true)
}

// stop has the status of a container say that it has ended with a code.
func (c *change) stop(s *corev1.ContainerStatus, code int32) {
	t := &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Completed", StartedAt: c.at, FinishedAt: c.at, ContainerID: s.ContainerID}
	if s.State.Running != nil {
		t.StartedAt = s.State.Running.StartedAt
	}
	if code != 0 {
		t.Reason = "Error"
	}
	s.State = corev1.ContainerState{Terminated: t}
	s.Ready, s.Started = false, ptr.To(false)
}
