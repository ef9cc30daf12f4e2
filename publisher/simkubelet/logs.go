package simkubelet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"rollcall/events"
	"rollcall/publisher/simkubelet/script"
)

// A container that runs says so every minute; the last of these lines are kept,
// as a kubelet keeps the last of its files.
const (
	aliveEvery = time.Minute
	aliveKept  = 100
)

// Logs returns what a simulated container of a pod had written by now, oldest
// line first; with previous what the one before its last restart had. The same
// pod gives the same lines, and a later now more of them. A container that has
// no lines because it has not started is a BadRequest with a kubelet's message;
// a pod that is on no node has no lines and no error, as with Kubernetes.
func Logs(pod *corev1.Pod, container string, previous bool, now time.Time) (events.ContainerLog, error) {
	if pod.Spec.NodeName == "" {
		return events.ContainerLog{}, nil
	}
	s := slotOf(pod, container)
	if s.s == nil {
		return events.ContainerLog{}, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is not available", container, pod.Name))
	}
	l, why := runOf(s.s, previous)
	if why != "" {
		return events.ContainerLog{}, apierrors.NewBadRequest(fmt.Sprintf(why, container, pod.Name))
	}
	log := events.ContainerLog{Life: s.c.Name + "/" + strconv.Itoa(int(l.start)), Ended: l.end != nil}
	if args := arguments(pod, s.c); !readTag(s.s.Image).says && script.Understood(args) && !attended(s.c, s.role) {
		l.told(&log, script.Program{Args: args, Env: environment(pod, s.c), As: script.IdentityOf(pod, s.c), Work: work(pod, s.c, s.role, DefaultOptions().Run)}, now)
		return log, nil
	}
	log.Lines = slices.Concat(l.first(pod, s.s), l.alive(now), l.last(pod, s.s))
	slices.SortStableFunc(log.Lines, func(a, b events.LogLine) int { return a.At.Compare(b.At) })
	log.Lines = slices.DeleteFunc(log.Lines, func(l events.LogLine) bool { return l.At.After(now) })
	if !log.Ended {
		log.Next = l.from.Add((now.Sub(l.from)/aliveEvery + 1) * aliveEvery)
	}
	return log, nil
}

// told has a log say what a program writes.
func (l life) told(log *events.ContainerLog, p script.Program, now time.Time) {
	until := now.Sub(l.from)
	if l.end != nil {
		// Times in a status are whole seconds: it wrote all that it had to say.
		if until = l.end.FinishedAt.Sub(l.from); l.end.ExitCode != killed {
			until += time.Second
		}
	}
	if until < 0 {
		return
	}
	play := p.Play(l.from, until)
	for _, line := range play.Lines {
		at := l.from.Add(line.At)
		if l.end != nil && at.After(l.end.FinishedAt.Time) {
			at = l.end.FinishedAt.Time
		}
		log.Lines = append(log.Lines, events.LogLine{At: at, Text: line.Text})
	}
	if l.end == nil && !play.Ended && play.Next != script.Forever {
		log.Next = l.from.Add(play.Next)
	}
}

func slotOf(pod *corev1.Pod, container string) *slot {
	ss := slots(pod, nil)
	for i := range ss {
		if ss[i].c.Name == container {
			return &ss[i]
		}
	}
	return &slot{}
}

// life is a container from one start to its end.
type life struct {
	from  time.Time
	end   *corev1.ContainerStateTerminated // nil: it runs
	start int32                            // how often it was restarted before
}

// runOf returns the life whose lines are asked for, or why there is none: a
// format with the names of container and pod.
func runOf(s *corev1.ContainerStatus, previous bool) (l life, why string) {
	last, now := s.LastTerminationState.Terminated, s.State
	switch {
	case previous && last == nil:
		return life{}, "previous terminated container %q in pod %q not found"
	case !previous && now.Running != nil:
		return life{from: now.Running.StartedAt.Time, start: s.RestartCount}, ""
	case !previous && now.Terminated != nil:
		return life{now.Terminated.StartedAt.Time, now.Terminated, s.RestartCount}, ""
	case last != nil:
		return life{last.StartedAt.Time, last, max(s.RestartCount-1, 0)}, ""
	case now.Waiting == nil:
		return life{}, "container %q in pod %q is waiting to start - no logs yet"
	}
	switch now.Waiting.Reason {
	case "ErrImagePull":
		return life{}, "container %q in pod %q is waiting to start: image can't be pulled"
	case "ImagePullBackOff":
		return life{}, "container %q in pod %q is waiting to start: trying and failing to pull image"
	}
	return life{}, "container %q in pod %q is waiting to start: " + now.Waiting.Reason
}

// first are the lines of a container that came up.
func (l life) first(pod *corev1.Pod, s *corev1.ContainerStatus) []events.LogLine {
	text := fmt.Sprintf("%s: %s starts on node %s as %s", s.Name, s.Image, pod.Spec.NodeName, cmp.Or(pod.Status.PodIP, "no address"))
	if l.start > 0 {
		text += fmt.Sprintf(", restart %d", l.start)
	}
	lines := []events.LogLine{{At: l.from, Text: text}}
	c := condition(pod, corev1.ContainersReady)
	if l.end == nil && s.Ready && c != nil && c.Status == corev1.ConditionTrue {
		at := c.LastTransitionTime.Time
		if at.Before(l.from) {
			at = l.from
		}
		lines = append(lines, events.LogLine{At: at, Text: "ready"})
	}
	return lines
}

// alive are the lines that a container writes while it runs.
func (l life) alive(now time.Time) (lines []events.LogLine) {
	end := now
	if l.end != nil && l.end.FinishedAt.Time.Before(now) {
		end = l.end.FinishedAt.Time
	}
	n := int(end.Sub(l.from) / aliveEvery)
	for i := max(1, n-aliveKept+1); i <= n; i++ {
		up := time.Duration(i) * aliveEvery
		lines = append(lines, events.LogLine{At: l.from.Add(up), Text: fmt.Sprintf("running for %s", up)})
	}
	return lines
}

// last are the lines of a container that goes down.
func (l life) last(pod *corev1.Pod, s *corev1.ContainerStatus) []events.LogLine {
	switch {
	case l.end == nil && pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil:
		asked := pod.DeletionTimestamp.Add(-time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
		return []events.LogLine{{At: asked, Text: "asked to stop, stopping"}}
	case l.end == nil:
		return nil
	case l.end.ExitCode == 0:
		return []events.LogLine{{At: l.end.FinishedAt.Time, Text: "work is done, exit 0"}}
	case l.end.ExitCode == killed:
		return []events.LogLine{{At: l.end.FinishedAt.Time, Text: "asked to stop, exit 143"}}
	}
	return []events.LogLine{{At: l.end.FinishedAt.Time, Text: fmt.Sprintf("error: image %s says so, exit %d", s.Image, l.end.ExitCode)}}
}
