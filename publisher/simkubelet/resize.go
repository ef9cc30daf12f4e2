package simkubelet

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// unsized reports whether a container may use something else than its spec
// says: a resize that its kubelet has not carried out.
func unsized(s *slot) bool {
	return (s.role == works || s.role == assists) && s.s != nil && s.s.Resources != nil && s.state() == live &&
		!(equality.Semantic.DeepEqual(s.s.Resources.Requests, s.c.Resources.Requests) &&
			equality.Semantic.DeepEqual(s.s.Resources.Limits, s.c.Resources.Limits))
}

// resizeable reports whether a kubelet has to look at a resize: at one that it
// has not seen, and at one that it put off when there is room.
func (w *World) resizeable(p *pod, o *corev1.Pod, ss []slot) bool {
	if o.Generation <= 1 || !slices.ContainsFunc(ss, func(s slot) bool { return unsized(&s) }) {
		return condition(o, corev1.PodResizePending) != nil && o.Generation > 1
	}
	c := condition(o, corev1.PodResizePending)
	return c == nil || c.ObservedGeneration != o.Generation || w.noRoom(p, o) == ""
}

// noRoom returns why a pod does not get what its spec says, or "".
func (w *World) noRoom(p *pod, o *corev1.Pod) string {
	used, needs := p.host.besides(p, true), desired(o)
	for _, s := range short(p.host.node.allocatable, &used, needs) {
		return s.message()
	}
	return ""
}

// resize gives the containers of a pod what its spec says, at once, or puts
// that off until its node has room. A kubelet of 1.36 puts off also what its
// node never has.
func (l *look) resize(ss []slot) {
	if why := l.w.noRoom(l.p, l.pod); why != "" && slices.ContainsFunc(ss, func(s slot) bool { return unsized(&s) }) {
		l.set(corev1.PodResizePending, corev1.ConditionTrue, corev1.PodReasonDeferred, why)
		return
	}
	for i := range ss {
		s := &ss[i]
		if !unsized(s) {
			continue
		}
		again := restartsFor(s)
		s.s.Resources = s.c.Resources.DeepCopy()
		s.s.AllocatedResources = s.c.Resources.Requests.DeepCopy()
		if again {
			l.stop(s.s, killed)
			s.s.LastTerminationState = s.s.State
			l.start(s)
		}
	}
	l.pod.Status.Conditions = slices.DeleteFunc(l.pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodResizePending || c.Type == corev1.PodResizeInProgress
	})
}

// restartsFor reports whether a container is started anew to get what it may use.
func restartsFor(s *slot) bool {
	for _, p := range s.c.ResizePolicy {
		differs := func(a, b corev1.ResourceList) bool {
			return a.Name(p.ResourceName, "").Cmp(*b.Name(p.ResourceName, "")) != 0
		}
		if p.RestartPolicy == corev1.RestartContainer &&
			(differs(s.s.Resources.Requests, s.c.Resources.Requests) || differs(s.s.Resources.Limits, s.c.Resources.Limits)) {
			return true
		}
	}
	return false
}

// sizes are what a kubelet tells of a resize.
type sizes struct {
	InitContainers []size `json:"initContainers,omitempty"`
	Containers     []size `json:"containers,omitempty"`
	Generation     int64  `json:"generation"`
	Error          string `json:"error,omitempty"`
}

type size struct {
	Name      string                      `json:"name"`
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
}

// resizeText is the message of an Event of a resize.
func resizeText(what string, o *corev1.Pod, failed string) string {
	s := sizes{Generation: o.Generation, Error: failed}
	for i := range o.Spec.InitContainers {
		s.InitContainers = append(s.InitContainers, size{o.Spec.InitContainers[i].Name, o.Spec.InitContainers[i].Resources})
	}
	for i := range o.Spec.Containers {
		s.Containers = append(s.Containers, size{o.Spec.Containers[i].Name, o.Spec.Containers[i].Resources})
	}
	text, err := json.Marshal(s)
	if err != nil {
		return what
	}
	return what + ": " + string(text)
}
