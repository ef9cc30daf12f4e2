package simkubelet

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// slot is a container of a pod with its status and what the log tells of it.
type slot struct {
	c    *corev1.Container
	s    *corev1.ContainerStatus // nil: nobody wrote one yet
	role role
	mark *mark
}

// mark says since when a container has been in its state, by the log's clock.
// The times in a status are whole seconds, and a container lives by its mark.
type mark struct {
	state    runState
	restarts int32
	reason   string // of waiting
	at       time.Time
}

type runState byte

const (
	idle runState = iota // it waits for its first start, or for its next
	live
	done
)

func (s *slot) state() runState {
	switch {
	case s.s == nil:
		return idle
	case s.s.State.Running != nil:
		return live
	case s.s.State.Terminated != nil:
		return done
	}
	return idle
}

func (s *slot) waitsFor() string {
	if s.s == nil {
		return ""
	}
	return waiting(s.s)
}

// waiting is the reason why a container does not run yet, or again.
func waiting(s *corev1.ContainerStatus) string {
	if s.State.Waiting == nil {
		return ""
	}
	return s.State.Waiting.Reason
}

// ran reports whether a container was started ever.
func (s *slot) ran() bool {
	return s.s != nil && (s.state() != idle || s.s.LastTerminationState.Terminated != nil)
}

// slots returns the containers of a pod: those that set up and assist in their
// order, those that work, those that debug. marks has one for each, or is nil.
func slots(o *corev1.Pod, marks []mark) []slot {
	all := make([]slot, 0, len(o.Spec.InitContainers)+len(o.Spec.Containers)+len(o.Spec.EphemeralContainers))
	add := func(c *corev1.Container, ss []corev1.ContainerStatus, i int, r role) {
		s := slot{c: c, role: r}
		if i < len(ss) && ss[i].Name == c.Name {
			s.s = &ss[i]
		} else if i = slices.IndexFunc(ss, func(s corev1.ContainerStatus) bool { return s.Name == c.Name }); i >= 0 {
			s.s = &ss[i]
		}
		if len(all) < len(marks) {
			s.mark = &marks[len(all)]
		}
		all = append(all, s)
	}
	for i := range o.Spec.InitContainers {
		c, r := &o.Spec.InitContainers[i], setsUp
		if sidecar(c) {
			r = assists
		}
		add(c, o.Status.InitContainerStatuses, i, r)
	}
	for i := range o.Spec.Containers {
		add(&o.Spec.Containers[i], o.Status.ContainerStatuses, i, works)
	}
	for i := range o.Spec.EphemeralContainers {
		add((*corev1.Container)(&o.Spec.EphemeralContainers[i].EphemeralContainerCommon), o.Status.EphemeralContainerStatuses, i, debugs)
	}
	return all
}

func sidecar(init *corev1.Container) bool {
	return init.RestartPolicy != nil && *init.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// marksFor returns one mark for each container of a pod: those of marks, and new
// ones for the containers that have none.
func marksFor(o *corev1.Pod, marks []mark, at time.Time) []mark {
	n := len(o.Spec.InitContainers) + len(o.Spec.Containers) + len(o.Spec.EphemeralContainers)
	for len(marks) < n {
		marks = append(marks, mark{at: at})
	}
	return marks[:n]
}

// stateSince returns when a container came into its state as its status says it,
// in whole seconds: of a pod that is met as it runs nothing else tells.
func (s *slot) stateSince() (time.Time, bool) {
	switch {
	case s.s == nil:
	case s.s.State.Running != nil:
		return s.s.State.Running.StartedAt.Time, true
	case s.s.State.Terminated != nil:
		return s.s.State.Terminated.FinishedAt.Time, true
	case s.s.LastTerminationState.Terminated != nil:
		return s.s.LastTerminationState.Terminated.FinishedAt.Time, true
	}
	return time.Time{}, false
}

// remark gives a new mark to the containers whose state has changed; the marks
// of the others stay.
func remark(ss []slot, at time.Time) {
	for i := range ss {
		s := &ss[i]
		is := mark{state: s.state(), reason: s.waitsFor(), at: at}
		if s.s != nil {
			is.restarts = s.s.RestartCount
		}
		if was := s.mark; was.state != is.state || was.reason != is.reason || was.restarts != is.restarts {
			*was = is
		}
	}
}

// initialized reports whether the containers that set up are done: they are
// not asked again once one that works has started.
func initialized(ss []slot) bool {
	all := true
	for i := range ss {
		s := &ss[i]
		switch s.role {
		case setsUp:
			all = all && s.well()
		case assists:
			all = all && s.up()
		case works:
			if s.ran() {
				return true
			}
		}
	}
	return all
}

// well reports whether a container has ended well.
func (s *slot) well() bool { return s.state() == done && s.s.State.Terminated.ExitCode == 0 }

// up reports whether a sidecar has come up, so that the next may.
func (s *slot) up() bool { return s.s != nil && s.s.Started != nil && *s.s.Started }
