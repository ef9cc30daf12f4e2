package simkubelet

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Notice is a core event of Kubernetes that a scheduler or a kubelet reports of
// a pod. It is a view of two states of the pod: nothing in the log.
type Notice struct {
	Type      string // Normal or Warning
	Reason    string
	Message   string
	Component string // default-scheduler or kubelet
	Host      string // the kubelet's node
	FieldPath string // of the container, if it is about one: spec.containers{name}
}

const (
	scheduler = "default-scheduler"
	kubelet   = "kubelet"
)

// Notices returns what is reported of a pod that becomes another: in order,
// with the texts of Kubernetes. old is nil for a pod that was made, and of one
// that is gone there is nothing to report.
func Notices(old, new *corev1.Pod) []Notice {
	if new == nil {
		return nil
	}
	if old == nil {
		old = &corev1.Pod{Spec: corev1.PodSpec{NodeName: new.Spec.NodeName}}
	}
	var out []Notice
	if old.Spec.NodeName == "" && new.Spec.NodeName != "" {
		out = append(out, Notice{Type: corev1.EventTypeNormal, Reason: "Scheduled", Component: scheduler,
			Message: fmt.Sprintf("Successfully assigned %s/%s to %s", new.Namespace, new.Name, new.Spec.NodeName)})
	}
	if c := condition(new, corev1.PodScheduled); marked(new) && !(marked(old) && condition(old, corev1.PodScheduled).Message == c.Message) {
		out = append(out, Notice{Type: corev1.EventTypeWarning, Reason: "FailedScheduling", Component: scheduler, Message: c.Message})
	}
	for _, cs := range []struct {
		spec     []corev1.Container
		path     string
		was, are []corev1.ContainerStatus
	}{
		{new.Spec.InitContainers, "spec.initContainers{%s}", old.Status.InitContainerStatuses, new.Status.InitContainerStatuses},
		{new.Spec.Containers, "spec.containers{%s}", old.Status.ContainerStatuses, new.Status.ContainerStatuses},
	} {
		for i := range cs.spec {
			name := cs.spec[i].Name
			n := notices{pod: new, of: &cs.spec[i], path: fmt.Sprintf(cs.path, name)}
			n.container(named(cs.was, name), named(cs.are, name))
			if old.DeletionTimestamp == nil && new.DeletionTimestamp != nil && named(cs.are, name).State.Running != nil {
				n.add(corev1.EventTypeNormal, "Killing", "Stopping container "+name)
			}
			out = append(out, n.out...)
		}
	}
	return out
}

// named returns the status of a container; of one that has none, an empty one.
func named(ss []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	i := slices.IndexFunc(ss, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return &corev1.ContainerStatus{}
	}
	return &ss[i]
}

// notices are those of one container.
type notices struct {
	pod  *corev1.Pod
	of   *corev1.Container
	path string
	out  []Notice
}

func (n *notices) add(typ, reason, message string) {
	n.out = append(n.out, Notice{Type: typ, Reason: reason, Message: message,
		Component: kubelet, Host: n.pod.Spec.NodeName, FieldPath: n.path})
}

func (n *notices) container(was, is *corev1.ContainerStatus) {
	if is.ContainerID != "" && is.ContainerID != was.ContainerID {
		n.pulled(was.ContainerID != "")
		n.add(corev1.EventTypeNormal, "Created", "Container created")
		n.add(corev1.EventTypeNormal, "Started", "Container started")
	}
	if reason := waits(is); reason == "ImagePullBackOff" && waits(was) != reason {
		n.add(corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", n.of.Image))
		n.add(corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: not found", n.of.Image))
		n.add(corev1.EventTypeWarning, "Failed", "Error: ErrImagePull")
		n.add(corev1.EventTypeNormal, "BackOff", fmt.Sprintf("Back-off pulling image %q", n.of.Image))
		n.add(corev1.EventTypeWarning, "Failed", "Error: ImagePullBackOff")
	}
	if is.RestartCount > was.RestartCount && waits(is) == "CrashLoopBackOff" {
		n.add(corev1.EventTypeWarning, "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s_%s(%s)",
			n.of.Name, n.pod.Name, n.pod.Namespace, n.pod.UID))
	}
}

// pulled tells how the image of a container that started came to its node: the
// first start brings it along, whatever else was on the node before.
func (n *notices) pulled(again bool) {
	if again && n.of.ImagePullPolicy != corev1.PullAlways || n.of.ImagePullPolicy == corev1.PullNever {
		n.add(corev1.EventTypeNormal, "Pulled",
			fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", n.of.Image))
		return
	}
	took := time.Duration(100+draw("pull/"+n.of.Image+string(n.pod.UID))%900) * time.Millisecond
	n.add(corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", n.of.Image))
	n.add(corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %d bytes.",
		n.of.Image, took, took, 5_000_000+draw("size/"+n.of.Image)%200_000_000))
}

func waits(s *corev1.ContainerStatus) string {
	if s.State.Waiting == nil {
		return ""
	}
	return s.State.Waiting.Reason
}
