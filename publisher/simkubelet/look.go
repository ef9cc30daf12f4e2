package simkubelet

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/publisher/simkubelet/script"
)

// deed is one thing that a kubelet does to a pod.
type deed struct {
	do   doing
	slot int
	at   time.Time // zero: when the stage allows
}

type doing byte

const (
	nothing doing = iota
	starts        // a container that waits
	blocks        // a container cannot start: says why
	readies
	exits
	again    // starts a container once more
	changes  // its image is another: it is ended and started
	resizes  // what it may use is another
	expires  // the pod has been active for too long
	corrects // the status is not what it should be
)

// stageOf is what a pod does until a deed.
func (d deed) stage() stage {
	switch {
	case d.do == starts || d.do == blocks:
		return podStarting
	case d.do == changes || d.do == resizes:
		return podChanging
	case d.do == corrects:
		return podRecovering
	}
	return podLiving
}

// next returns what a kubelet does next to a pod that it has accepted and that
// has not ended: what waits for nothing first, then the earliest.
func (w *World) next(p *pod, o *corev1.Pod, ss []slot) deed {
	var d deed
	add := func(do doing, slot int, at time.Time) {
		if d.do == nothing || !d.at.IsZero() && (at.IsZero() || at.Before(d.at)) {
			d = deed{do, slot, at}
		}
	}
	if s := o.Spec.ActiveDeadlineSeconds; s != nil && o.Status.StartTime != nil {
		add(expires, 0, o.Status.StartTime.Add(time.Duration(*s)*time.Second))
	}
	ready := initialized(ss)
	up := false // one that sets up is under way: the others wait for it
	for i := range ss {
		s := &ss[i]
		if s.role == setsUp && ready || s.role == works && !ready || s.role == assists && !ready && up {
			continue
		}
		if s.role == setsUp && up {
			continue
		}
		if do, at := w.nextOf(p, o, s); do != nothing {
			add(do, i, at)
		}
		up = up || s.role == setsUp && !s.well() || s.role == assists && !s.up()
	}
	if w.resizeable(p, o, ss) {
		add(resizes, 0, time.Time{})
	}
	return d
}

// nextOf returns what comes next for one container whose turn it is.
func (w *World) nextOf(p *pod, o *corev1.Pod, s *slot) (doing, time.Time) {
	if s.s != nil && s.s.Image != s.c.Image && (s.state() == live && s.role != setsUp || s.waitsFor() == crashLoop) {
		return changes, time.Time{}
	}
	switch s.state() {
	case live:
		a := w.act(o, s.c, s.role)
		if s.role != setsUp && !s.s.Ready && s.role != debugs && a.ready < a.after {
			return readies, s.mark.at.Add(a.ready)
		}
		if a.after == script.Forever {
			return nothing, time.Time{}
		}
		return exits, s.mark.at.Add(a.after)
	case done:
		after := w.act(o, s.c, s.role).after
		if !s.restarts(o, s.s.State.Terminated.ExitCode) || s.s.RestartCount >= patience(o) && after < longRun {
			return nothing, time.Time{}
		}
		if after == 0 {
			return again, s.mark.at
		}
		return again, s.mark.at.Add(w.delay(w.options.Start, &p.item, "again"))
	}
	if s.waitsFor() == crashLoop {
		if s.s.RestartCount >= patience(o) {
			return nothing, time.Time{}
		}
		return again, s.mark.at.Add(backoff(s.s.RestartCount))
	}
	b := w.obstacle(p, o, s)
	switch {
	case b.reason == "":
		return starts, time.Time{}
	case s.s == nil || s.s.State.Waiting == nil || b.reason != s.s.State.Waiting.Reason || b.message != s.s.State.Waiting.Message:
		return blocks, time.Time{}
	}
	return nothing, time.Time{}
}

// look is one look of a kubelet at a pod, in which it does all that is due.
type look struct {
	change
	w   *World
	p   *pod
	now time.Time
	ss  []slot
}

// maxDeeds bounds one look; what is left is done in the next.
const maxDeeds = 1000

// look does what is due to a copy of a pod, and has its status say so.
func (w *World) look(p *pod, o *corev1.Pod, now time.Time) {
	l := &look{change: change{pod: o, at: stamp(now)}, w: w, p: p, now: now}
	l.sized()
	l.ss = slots(o, slices.Clone(p.marks))
	remark(l.ss, now)
	for range maxDeeds {
		d := w.next(p, o, l.ss)
		if d.do == nothing || d.at.After(now) {
			break
		}
		if l.do(d); ended(o) {
			break
		}
		remark(l.ss, now)
	}
	l.report()
}

func (l *look) do(d deed) {
	s := &l.ss[d.slot]
	switch d.do {
	case starts:
		l.start(s)
	case blocks:
		b := l.w.obstacle(l.p, l.pod, s)
		s.s.Image = s.c.Image
		s.s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: b.reason, Message: b.message}}
	case readies:
		s.s.Ready = true
	case exits:
		l.exit(s)
	case again:
		if s.state() == done {
			s.s.LastTerminationState = s.s.State
		}
		l.start(s)
	case changes:
		if s.state() == live {
			l.stop(s.s, killed)
			s.s.LastTerminationState = s.s.State
		}
		s.s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: creating}}
	case resizes:
		l.resize(l.ss)
	case expires:
		l.expire()
	}
}

// The reason and the message of a pod that was active for too long.
const (
	deadlineExceeded = "DeadlineExceeded"
	deadlineMessage  = "Pod was active on the node longer than the specified deadline"
)

// killed is the exit code of a process that SIGTERM has ended.
const killed = 128 + 15

const crashLoop = "CrashLoopBackOff"

// exit ends a container as it does by itself.
func (l *look) exit(s *slot) {
	a := l.w.act(l.pod, s.c, s.role)
	l.stop(s.s, a.code)
	s.s.Ready = s.role == setsUp && a.code == 0
	switch {
	case a.ends:
		for i := range l.ss {
			other := &l.ss[i]
			if other.role == works && !other.ran() {
				l.run(other.s) // it was about to
			}
			l.conclude(other, 0)
		}
		l.phase(corev1.PodSucceeded)
		if a.code != 0 {
			l.phase(corev1.PodFailed)
		}
	case s.restarts(l.pod, a.code) && s.s.RestartCount > 0 && a.after < longRun:
		l.backOff(s)
	}
}

func (l *look) phase(is corev1.PodPhase) { l.pod.Status.Phase = is }

// backOff has a container wait for its next start.
func (l *look) backOff(s *slot) {
	s.s.LastTerminationState = s.s.State
	s.s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: crashLoop,
		Message: "back-off " + backoff(s.s.RestartCount).String() + " restarting failed container=" + s.c.Name + " pod=" + fullName(l.pod)}}
}

// fullName is how a kubelet calls a pod.
func fullName(o *corev1.Pod) string { return o.Name + "_" + o.Namespace + "(" + string(o.UID) + ")" }

// start starts a container, once more if it ran before.
func (l *look) start(s *slot) {
	if s.s.LastTerminationState.Terminated != nil {
		s.s.RestartCount++
	}
	s.s.Image, s.s.Ready = s.c.Image, false
	l.run(s.s)
}

// conclude ends a container with its pod, if it has not ended.
func (l *look) conclude(s *slot, code int32) {
	switch {
	case s.state() == live:
		l.stop(s.s, code)
	case s.state() == idle && s.ran(): // it waited for its next start
		s.s.State, s.s.LastTerminationState = s.s.LastTerminationState, corev1.ContainerState{}
	}
}

// expire ends a pod that was active for too long.
func (l *look) expire() {
	for i := range l.ss {
		l.conclude(&l.ss[i], killed)
	}
	l.phase(corev1.PodFailed)
	l.pod.Status.Reason, l.pod.Status.Message = deadlineExceeded, deadlineMessage
}

// report has the status of a pod say what its containers are.
func (l *look) report() {
	ss := l.ss
	if !ended(l.pod) {
		l.phase(phaseOf(l.pod, ss, false))
	}
	if ended(l.pod) {
		for i := range ss {
			if ss[i].role == assists || ss[i].role == debugs {
				l.conclude(&ss[i], 0)
			}
		}
	}
	l.conditions(ss)
}

// terminate ends what is left of a pod that was deleted and that finalizers hold.
func (l *look) terminate() {
	l.sized()
	ss := slots(l.pod, nil)
	for i := range ss {
		l.conclude(&ss[i], killed)
	}
	if !ended(l.pod) {
		l.phase(phaseOf(l.pod, ss, true))
	}
	if !ended(l.pod) {
		l.phase(corev1.PodFailed) // it never ran
	}
	l.conditions(ss)
}
