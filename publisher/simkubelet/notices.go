package simkubelet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"rollcall/events"
)

const (
	scheduler = "default-scheduler"
	kubelet   = "kubelet"
)

// Notices returns what is reported of a pod that becomes another: in order,
// with the texts of Kubernetes. old is nil for a pod that was made, and of one
// that is gone there is nothing to report. node is the one that it is bound to,
// or nil: of pods that no simulated kubelet has, nothing is known here.
func Notices(old, new *corev1.Pod, node *corev1.Node) []events.Notice {
	if new == nil || new.Spec.NodeName != "" && (node == nil || node.Labels[events.LabelSimulated] != "true") {
		return nil
	}
	if old == nil {
		old = &corev1.Pod{Spec: corev1.PodSpec{NodeName: new.Spec.NodeName}}
	}
	var out []events.Notice
	if old.Spec.NodeName == "" && new.Spec.NodeName != "" {
		out = append(out, events.Notice{Type: corev1.EventTypeNormal, Reason: "Scheduled", Component: scheduler,
			Message: fmt.Sprintf("Successfully assigned %s/%s to %s", new.Namespace, new.Name, new.Spec.NodeName)})
	}
	if c := condition(new, corev1.PodScheduled); marked(new) && !(marked(old) && condition(old, corev1.PodScheduled).Message == c.Message) {
		out = append(out, events.Notice{Type: corev1.EventTypeWarning, Reason: "FailedScheduling", Component: scheduler, Message: c.Message})
	}
	out = append(out, ofPod(old, new)...)
	for _, cs := range []struct {
		path     string
		spec     []corev1.Container
		was, are []corev1.ContainerStatus
	}{
		{"spec.initContainers{%s}", new.Spec.InitContainers, old.Status.InitContainerStatuses, new.Status.InitContainerStatuses},
		{"spec.containers{%s}", new.Spec.Containers, old.Status.ContainerStatuses, new.Status.ContainerStatuses},
		{"spec.ephemeralContainers{%s}", debuggers(new), old.Status.EphemeralContainerStatuses, new.Status.EphemeralContainerStatuses},
	} {
		for i := range cs.spec {
			name := cs.spec[i].Name
			n := notices{pod: new, of: &cs.spec[i], path: fmt.Sprintf(cs.path, name)}
			was, is := named(cs.was, name), named(cs.are, name)
			if was.State.Running != nil && (old.DeletionTimestamp == nil && new.DeletionTimestamp != nil || expired(old, new)) {
				n.add(corev1.EventTypeNormal, "Killing", "Stopping container "+name)
			}
			n.container(was, is)
			out = append(out, n.out...)
		}
	}
	return out
}

// expired reports whether a pod has been active for too long by now.
func expired(old, new *corev1.Pod) bool {
	return new.Status.Reason == deadlineExceeded && old.Status.Reason != deadlineExceeded
}

// ofPod are the notices of a kubelet about a pod as a whole.
func ofPod(old, new *corev1.Pod) (out []events.Notice) {
	add := func(typ, reason, message string) {
		out = append(out, events.Notice{Type: typ, Reason: reason, Message: message, Component: kubelet, Host: new.Spec.NodeName})
	}
	if why, ok := strings.CutPrefix(new.Status.Message, rejected); ok && old.Status.Message != new.Status.Message {
		add(corev1.EventTypeWarning, new.Status.Reason, why)
	}
	if expired(old, new) {
		add(corev1.EventTypeNormal, deadlineExceeded, deadlineMessage)
	}
	if why := unmountedText(new); why != "" && why != unmountedText(old) {
		add(corev1.EventTypeWarning, "FailedMount", why)
	}
	was, is := condition(old, corev1.PodResizePending), condition(new, corev1.PodResizePending)
	switch {
	case is != nil && (was == nil || was.Reason != is.Reason || was.ObservedGeneration != is.ObservedGeneration):
		add(corev1.EventTypeWarning, "Resize"+is.Reason, resizeText("Pod resize "+is.Reason, new, is.Message))
	case is == nil && resized(old, new):
		add(corev1.EventTypeNormal, "ResizeStarted", resizeText("Pod resize started", new, ""))
		add(corev1.EventTypeNormal, "ResizeCompleted", resizeText("Pod resize completed", new, ""))
	}
	return out
}

// unmountedText is why the volumes of a pod are not mounted, if its status says so.
func unmountedText(o *corev1.Pod) string {
	for _, ss := range [][]corev1.ContainerStatus{o.Status.InitContainerStatuses, o.Status.ContainerStatuses} {
		for i := range ss {
			if w := ss[i].State.Waiting; w != nil && strings.HasPrefix(w.Message, unmountedPrefix) {
				return w.Message
			}
		}
	}
	return ""
}

// resized reports whether containers that run got more or less.
func resized(old, new *corev1.Pod) bool {
	for i := range new.Status.ContainerStatuses {
		is := &new.Status.ContainerStatuses[i]
		was := named(old.Status.ContainerStatuses, is.Name)
		if was.State.Running != nil && was.Resources != nil && !equality.Semantic.DeepEqual(was.Resources, is.Resources) {
			return true
		}
	}
	return false
}

// debuggers are the ephemeral containers of a pod as containers.
func debuggers(o *corev1.Pod) (cs []corev1.Container) {
	for i := range o.Spec.EphemeralContainers {
		cs = append(cs, corev1.Container(o.Spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return cs
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
	out  []events.Notice
}

func (n *notices) add(typ, reason, message string) {
	n.out = append(n.out, events.Notice{Type: typ, Reason: reason, Message: message,
		Component: kubelet, Host: n.pod.Spec.NodeName, FieldPath: n.path})
}

func (n *notices) container(was, is *corev1.ContainerStatus) {
	if is.ContainerID != "" && is.ContainerID != was.ContainerID {
		if was.State.Running != nil && was.Image != is.Image {
			n.add(corev1.EventTypeNormal, "Killing", fmt.Sprintf("Container %s definition changed, will be restarted", n.of.Name))
		}
		n.pulled(was.ContainerID != "" && was.Image == is.Image)
		n.add(corev1.EventTypeNormal, "Created", "Container created")
		n.add(corev1.EventTypeNormal, "Started", "Container started")
	}
	why := waiting(is)
	if why == crashLoop && (waiting(was) != why || is.RestartCount > was.RestartCount) {
		n.add(corev1.EventTypeWarning, "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s", n.of.Name, fullName(n.pod)))
	}
	if is.State.Waiting == nil || why == waiting(was) && is.State.Waiting.Message == was.State.Waiting.Message {
		return
	}
	switch message := is.State.Waiting.Message; why {
	case "ImagePullBackOff":
		n.add(corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", n.of.Image))
		n.add(corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: not found", n.of.Image))
		n.add(corev1.EventTypeWarning, "Failed", "Error: ErrImagePull")
		n.add(corev1.EventTypeNormal, "BackOff", fmt.Sprintf("Back-off pulling image %q", n.of.Image))
		n.add(corev1.EventTypeWarning, "Failed", "Error: ImagePullBackOff")
	case "InvalidImageName":
		n.add(corev1.EventTypeWarning, "InspectFailed", message)
		n.add(corev1.EventTypeWarning, "Failed", "Error: InvalidImageName")
	case "ErrImageNeverPull":
		n.add(corev1.EventTypeWarning, "ErrImageNeverPull", message)
		n.add(corev1.EventTypeWarning, "Failed", "Error: ErrImageNeverPull")
	case "CreateContainerConfigError":
		n.pulled(false)
		n.add(corev1.EventTypeWarning, "Failed", "Error: "+message)
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
