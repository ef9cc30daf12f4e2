package simkubelet

import (
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
)

// The stages of a pod.
const (
	podAway       stage = "away"       // it targets no simulated node, and no scheduler here has it
	podGated      stage = "gated"      // its scheduling gates are shut
	podQueued     stage = "queued"     // given a node or marked unschedulable next
	podStuck      stage = "stuck"      // marked; no node has room
	podCondemned  stage = "condemned"  // deleted before it was bound; held by finalizers
	podHeld       stage = "held"       // deleted; held by finalizers
	podHanging    stage = "hanging"    // deleted; its node is lost
	podStopping   stage = "stopping"   // deleted; gone next
	podEnded      stage = "ended"      // Failed or Succeeded
	podLosing     stage = "losing"     // its node is lost; not Ready next
	podLost       stage = "lost"       // its node is lost
	podBinding    stage = "binding"    // bound next
	podUnfit      stage = "unfit"      // marked unschedulable next
	podWaiting    stage = "waiting"    // marked; waits for room
	podAccepting  stage = "accepting"  // bound by somebody; its kubelet takes it next
	podPulling    stage = "pulling"    // fails to pull its image next
	podUnpulled   stage = "unpulled"   // cannot pull its image
	podStarting   stage = "starting"   // its containers run next
	podWarming    stage = "warming"    // runs; Ready next
	podRecovering stage = "recovering" // its node came back; Ready next
	podRunning    stage = "running"    // Ready
	podFinishing  stage = "finishing"  // Ready; done with its work next
	podCrashing   stage = "crashing/"  // and its restarts: crashes once more next
	podCrashed    stage = "crashed"    // the back-off is longer than anybody waits
)

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

// podStage returns what a pod does now, and in what time its step is due.
func (w *World) podStage(p *pod) (s stage, delay time.Duration, ok bool) {
	o := p.object
	switch {
	case p.free:
		return w.freeStage(p)
	case p.host == nil || !p.host.simulated():
		return podAway, 0, false
	case o.DeletionTimestamp != nil:
		return w.deletedStage(p)
	case ended(o):
		return podEnded, 0, false
	case p.host.silent() && isTrue(o, corev1.PodReady):
		return podLosing, 0, true
	case p.host.silent():
		return podLost, 0, false
	case o.Spec.NodeName == "":
		return w.unboundStage(p)
	case o.Status.StartTime == nil:
		return podAccepting, w.delay(w.options.BindDelay, &p.item, "bind"), true
	}
	return w.boundStage(p)
}

func (w *World) deletedStage(p *pod) (stage, time.Duration, bool) {
	switch {
	case p.object.Spec.NodeName == "":
		return podCondemned, 0, false
	case p.host.silent():
		return podHanging, 0, false
	case len(p.object.Finalizers) > 0:
		return podHeld, 0, false
	}
	delay := w.delay(w.options.StopDelay, &p.item, "stop")
	if grace := p.object.DeletionGracePeriodSeconds; grace != nil {
		delay = min(delay, time.Duration(*grace)*time.Second)
	}
	return podStopping, delay, true
}

func (w *World) unboundStage(p *pod) (stage, time.Duration, bool) {
	delay := w.delay(w.options.BindDelay, &p.item, "bind")
	switch {
	case len(p.object.Spec.SchedulingGates) > 0:
		return podGated, 0, false
	case p.holds || w.refusal(p) == "":
		return podBinding, delay, true
	case !marked(p.object):
		return podUnfit, delay, true
	}
	return podWaiting, 0, false
}

func (w *World) boundStage(p *pod) (stage, time.Duration, bool) {
	o := p.object
	f, after := fateOfPod(&o.Spec)
	start := w.delay(w.options.StartDelay, &p.item, "start")
	switch {
	case o.Status.Phase == corev1.PodPending && f == missing && waitsFor(o, "ImagePullBackOff"):
		return podUnpulled, 0, false
	case o.Status.Phase == corev1.PodPending && f == missing:
		return podPulling, start, true
	case o.Status.Phase == corev1.PodPending:
		return podStarting, start, true
	case f == crashes && restarts(o) < patience(o):
		n := restarts(o)
		return podCrashing + stage(strconv.Itoa(int(n))), backoff(n), true
	case f == crashes:
		return podCrashed, 0, false
	case f == completes && isTrue(o, corev1.PodReady):
		return podFinishing, w.options.RunDelay, true
	case isTrue(o, corev1.PodReady):
		return podRunning, 0, false
	case isTrue(o, corev1.ContainersReady):
		return podRecovering, 0, true
	}
	return podWarming, after, true
}

// podStep returns the step that is due, or nil if it is not after all: another
// pod took the room.
func (w *World) podStep(p *pod, now time.Time) *Step {
	if s, _, ok := w.podStage(p); s != p.stage || !ok {
		w.armPod(p, now)
		return nil
	}
	switch p.stage {
	case podStopping:
		return w.goneStep(p, now)
	case podQueued:
		return w.schedule(p, now)
	}
	o := p.object.DeepCopy()
	c := change{pod: o, at: stamp(now)}
	binds := false
	switch p.stage {
	case podUnfit:
		c.unfit(w.refusal(p))
	case podBinding, podAccepting:
		binds = true
		w.accept(&c, p, p.host)
	case podPulling:
		c.pullFailed()
	case podFinishing:
		c.finish()
	case podStarting:
		c.start()
	case podWarming:
		c.containersReady()
	case podRecovering:
		c.set(corev1.PodReady, corev1.ConditionTrue, "", "")
	case podLosing:
		c.set(corev1.PodReady, corev1.ConditionFalse, "NodeNotReady", "node "+p.host.ref.Key.Name+" does not answer")
	default:
		c.crash()
	}
	return w.changeStep(p, o, binds, now)
}

// changeStep is the step by which a pod becomes o.
func (w *World) changeStep(p *pod, o *corev1.Pod, binds bool, now time.Time) *Step {
	body, err := events.NewObject(events.Pod, o)
	if err != nil {
		return nil // it came out of the log, so it goes in
	}
	s := w.newStep(&p.item, events.VerbUpdated, body, now)
	s.object, s.of, s.binds = o, p, binds
	return s
}

func (w *World) goneStep(p *pod, now time.Time) *Step {
	s := w.newStep(&p.item, events.VerbDeleted, events.Gone{Ref: p.ref, Data: p.data}, now)
	s.of = p
	return s
}

// accept binds a pod, unless it is, and has its kubelet take it.
func (w *World) accept(c *change, p *pod, h *host) {
	o := c.pod
	o.Spec.NodeName = h.ref.Key.Name
	hostIP := ""
	for _, a := range h.node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && hostIP == "" {
			hostIP = a.Address
		}
	}
	o.Status.HostIP = hostIP
	if hostIP != "" {
		o.Status.HostIPs = []corev1.HostIP{{IP: hostIP}}
	}
	ip := hostIP
	if !o.Spec.HostNetwork {
		p.ip = w.ips.lease(o.UID)
		ip = p.ip
	}
	c.accept(ip)
}

// podIP returns the address that a pod has of its own.
func podIP(o *corev1.Pod) string {
	if o.Spec.HostNetwork {
		return ""
	}
	return o.Status.PodIP
}

func condition(o *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(o.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &o.Status.Conditions[i]
}

// marked reports whether a scheduler said that the pod fits nowhere.
func marked(o *corev1.Pod) bool {
	c := condition(o, corev1.PodScheduled)
	return c != nil && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
}

func isTrue(o *corev1.Pod, kind corev1.PodConditionType) bool {
	c := condition(o, kind)
	return c != nil && c.Status == corev1.ConditionTrue
}

func waitsFor(o *corev1.Pod, reason string) bool {
	return slices.ContainsFunc(o.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && c.State.Waiting.Reason == reason
	})
}

func restarts(o *corev1.Pod) (n int32) {
	for i := range o.Status.ContainerStatuses {
		n = max(n, o.Status.ContainerStatuses[i].RestartCount)
	}
	return n
}
