package simkubelet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// phaseOf returns the phase that the containers of a pod make. last says that
// none of them is started again, whatever its restart policy.
func phaseOf(o *corev1.Pod, ss []slot, last bool) corev1.PodPhase {
	var running, waits, stopped, well, final int
	ready := initialized(ss)
	for i := range ss {
		s := &ss[i]
		t := termination(s)
		switch {
		case s.role == setsUp && t != nil && t.ExitCode != 0 && !s.restarts(o, t.ExitCode):
			return corev1.PodFailed
		case s.role == assists && s.state() == live:
			running++
		case s.role != works:
		case s.state() == live:
			running++
		case t == nil:
			waits++
		default:
			stopped++
			if t.ExitCode == 0 {
				well++
			}
			if !s.restarts(o, t.ExitCode) {
				final++
			}
		}
	}
	switch {
	case !ready && !last || waits > 0:
		return corev1.PodPending
	case stopped == final && stopped == len(o.Spec.Containers) || last && running == 0:
		if stopped == well && stopped > 0 {
			return corev1.PodSucceeded
		}
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

// termination returns how a container ended, or nil if it runs or never did.
func termination(s *slot) *corev1.ContainerStateTerminated {
	switch {
	case s.s == nil || s.state() == live:
		return nil
	case s.state() == done:
		return s.s.State.Terminated
	}
	return s.s.LastTerminationState.Terminated
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

// conditions writes the conditions of a pod that its kubelet sets, and of which
// of its specs they are.
func (c *change) conditions(ss []slot) {
	o := c.pod
	o.Status.ObservedGeneration = o.Generation
	set := func(kind corev1.PodConditionType, is verdict) { c.set(kind, is.status, is.reason, is.message) }
	set(corev1.PodScheduled, yes)
	set(corev1.PodReadyToStartContainers, sandbox(o, ss))
	set(corev1.PodInitialized, initializedIs(o, ss))
	set(corev1.PodReady, readyIs(o, ss))
	set(corev1.ContainersReady, containersReadyIs(o, ss))
	c.order()
}

// verdict is the status, reason and message of a condition.
type verdict struct {
	status          corev1.ConditionStatus
	reason, message string
}

var (
	yes = verdict{status: corev1.ConditionTrue}
	no  = verdict{status: corev1.ConditionFalse}
)

// sandbox returns PodReadyToStartContainers: true from when a container of the
// pod is past being created until the pod ends.
func sandbox(o *corev1.Pod, ss []slot) verdict {
	if ended(o) {
		return no
	}
	for i := range ss {
		if why := ss[i].waitsFor(); ss[i].s != nil && why != creating && why != initializing {
			return yes
		}
	}
	return no
}

func initializedIs(o *corev1.Pod, ss []slot) verdict {
	var left []string
	for i := range ss {
		if s := &ss[i]; s.role == setsUp && !s.well() || s.role == assists && !s.up() {
			left = append(left, s.c.Name)
		}
	}
	switch {
	case o.Status.Phase == corev1.PodSucceeded:
		return verdict{status: corev1.ConditionTrue, reason: "PodCompleted"}
	case len(left) == 0 || slices.ContainsFunc(ss, func(s slot) bool { return s.role == works && s.ran() }):
		return yes
	}
	return verdict{corev1.ConditionFalse, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: %s", left)}
}

func containersReadyIs(o *corev1.Pod, ss []slot) verdict {
	is := containersAre(o, ss)
	if is.reason == notReady {
		var unready []string
		for i := range ss {
			if s := &ss[i]; s.unready() {
				unready = append(unready, s.c.Name)
			}
		}
		is.message = fmt.Sprintf("containers with unready status: %s", unready)
	}
	return is
}

const notReady = "ContainersNotReady"

// containersAre is whether the containers of a pod are ready, without a message.
func containersAre(o *corev1.Pod, ss []slot) verdict {
	switch o.Status.Phase {
	case corev1.PodSucceeded:
		return verdict{status: corev1.ConditionFalse, reason: "PodCompleted"}
	case corev1.PodFailed:
		return verdict{status: corev1.ConditionFalse, reason: "PodFailed"}
	}
	for i := range ss {
		if ss[i].unready() {
			return verdict{status: corev1.ConditionFalse, reason: notReady}
		}
	}
	return yes
}

func (s *slot) unready() bool {
	return (s.role == works || s.role == assists) && (s.s == nil || !s.s.Ready)
}

// readyIs returns Ready: true if the containers of the pod are ready and all of
// its readiness gates are True.
func readyIs(o *corev1.Pod, ss []slot) verdict {
	is := containersReadyIs(o, ss)
	if is.status != corev1.ConditionTrue {
		return is
	}
	var shut []string
	for _, g := range o.Spec.ReadinessGates {
		switch c := condition(o, g.ConditionType); {
		case c == nil:
			shut = append(shut, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", g.ConditionType))
		case c.Status != corev1.ConditionTrue:
			shut = append(shut, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", g.ConditionType, c.Status))
		}
	}
	if shut == nil {
		return yes
	}
	return verdict{corev1.ConditionFalse, "ReadinessGatesNotReady", strings.Join(shut, ", ")}
}

// stale reports whether the status of a pod that was accepted and has not
// ended is not what its kubelet says: its spec changed, or somebody wrote it.
func stale(o *corev1.Pod, ss []slot) bool {
	if o.Status.ObservedGeneration != o.Generation {
		return true
	}
	is := containersAre(o, ss)
	if !says(o, corev1.ContainersReady, is) {
		return true
	}
	if is.status != corev1.ConditionTrue {
		return !says(o, corev1.PodReady, is)
	}
	is = readyIs(o, ss)
	return !says(o, corev1.PodReady, is) || condition(o, corev1.PodReady).Message != is.message
}

func says(o *corev1.Pod, kind corev1.PodConditionType, is verdict) bool {
	c := condition(o, kind)
	return c != nil && c.Status == is.status && c.Reason == is.reason
}
