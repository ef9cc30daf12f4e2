package simkubelet

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/wire"
)

// The stages of a pod.
const (
	podAway       stage = "away"       // nobody of this world has it
	podGated      stage = "gated"      // its scheduling gates are shut
	podQueued     stage = "queued"     // given a node or marked unschedulable next
	podStuck      stage = "stuck"      // marked; no node has room
	podCondemned  stage = "condemned"  // deleted before it was bound, and held by finalizers; Failed next
	podHeld       stage = "held"       // deleted; has ended; held by finalizers
	podHanging    stage = "hanging"    // deleted; its node is lost
	podEnding     stage = "ending"     // deleted; held by finalizers; its containers end next
	podStopping   stage = "stopping"   // deleted; gone next
	podEnded      stage = "ended"      // Failed or Succeeded
	podLosing     stage = "losing"     // its node is lost; not Ready next
	podLost       stage = "lost"       // its node is lost
	podBinding    stage = "binding"    // bound next
	podUnfit      stage = "unfit"      // marked unschedulable next
	podWaiting    stage = "waiting"    // marked; waits for room
	podAccepting  stage = "accepting"  // bound by somebody; its kubelet takes it or rejects it next
	podStarting   stage = "starting"   // one of its containers starts next, or says why it cannot
	podBlocked    stage = "blocked"    // one of its containers cannot start
	podChanging   stage = "changing"   // its containers are made what its spec says next
	podRecovering stage = "recovering" // its status is put right next
	podLiving     stage = "living"     // its containers live their lives: ready, ended, started again
	podRunning    stage = "running"    // nothing comes by itself
)

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

// due is what an object does now, and when its step is.
type due struct {
	stage stage
	delay time.Duration // from when the stage began
	at    time.Time     // not zero: instead of the delay
	ok    bool          // there is a step
}

func after(s stage, delay time.Duration) due { return due{stage: s, delay: delay, ok: true} }

func atRest(s stage) due { return due{stage: s} }

// podStage returns what a pod does now, and when its step is due.
func (w *World) podStage(p *pod) due {
	o := p.object()
	switch {
	case p.host != nil && (!p.host.takes() || p.host.real() && o.Spec.NodeName != ""):
		return atRest(podAway)
	case o.DeletionTimestamp != nil && o.Spec.NodeName == "" && (p.free || p.host != nil):
		return w.unboundEnd(p)
	case p.free:
		return w.freeStage(p)
	case p.host == nil:
		return atRest(podAway)
	case o.DeletionTimestamp != nil:
		return w.deletedStage(p)
	case ended(o):
		return atRest(podEnded)
	case p.host.real():
		return w.unboundStage(p)
	case p.host.silent() && isTrue(o, corev1.PodReady):
		return after(podLosing, 0)
	case p.host.silent():
		return atRest(podLost)
	case o.Spec.NodeName == "":
		return w.unboundStage(p)
	case o.Status.StartTime == nil:
		return after(podAccepting, w.podDelay(w.options.Bind, p, "bind"))
	}
	return w.boundStage(p)
}

// unboundEnd returns what a pod does that was deleted before it had a node: it
// fails, as by Kubernetes' pod garbage collector, so that who owns its
// finalizers sees an end.
func (w *World) unboundEnd(p *pod) due {
	if len(p.object().Finalizers) > 0 && !ended(p.object()) {
		return after(podCondemned, 0)
	}
	return atRest(podHeld)
}

func (w *World) deletedStage(p *pod) due {
	switch {
	case p.host.silent():
		return atRest(podHanging)
	case len(p.object().Finalizers) > 0 && ended(p.object()):
		return atRest(podHeld)
	}
	delay := w.podDelay(w.options.Stop, p, "stop")
	if grace := p.object().DeletionGracePeriodSeconds; grace != nil {
		delay = min(delay, time.Duration(*grace)*time.Second)
	}
	if len(p.object().Finalizers) > 0 {
		return after(podEnding, delay)
	}
	return after(podStopping, delay)
}

func (w *World) unboundStage(p *pod) due {
	delay := w.podDelay(w.options.Bind, p, "bind")
	switch {
	case len(p.object().Spec.SchedulingGates) > 0:
		return atRest(podGated)
	case p.holds || w.refusal(p) == "":
		return after(podBinding, delay)
	case !marked(p.object()):
		return after(podUnfit, delay)
	}
	return atRest(podWaiting)
}

// boundStage is a pod in the hands of its kubelet.
func (w *World) boundStage(p *pod) due {
	o := p.object()
	ss := slots(o, p.marks)
	d := w.next(p, o, ss)
	if (d.do == nothing || !d.at.IsZero()) && stale(o, ss) {
		d = deed{do: corrects}
	}
	s := d.stage()
	switch {
	case d.do == nothing && blocked(ss):
		return atRest(podBlocked)
	case d.do == nothing:
		return atRest(podRunning)
	case s == podStarting:
		return after(s, w.startDelay(p, o))
	case s == podChanging:
		return after(s, w.delay(w.options.Stop, &p.item, "change"))
	case s == podRecovering:
		return after(s, 0)
	}
	return due{stage: s, at: d.at, ok: true}
}

// blocked reports whether one of the containers of a pod waits for something.
func blocked(ss []slot) bool {
	return slices.ContainsFunc(ss, func(s slot) bool { return s.state() == idle && s.waitsFor() != crashLoop })
}

// podStep returns the step that is due, or nil if it is not after all: another
// pod took the room.
func (w *World) podStep(p *pod, now time.Time) *Step {
	if d := w.podStage(p); d.stage != p.stage || !d.ok || d.at.After(now) {
		w.armPod(p, now)
		return nil
	}
	switch p.stage {
	case podStopping:
		return w.goneStep(p, now)
	case podQueued:
		return w.schedule(p, now)
	}
	o := p.draft()
	c := change{pod: o, at: stamp(now)}
	binds := false
	switch p.stage {
	case podUnfit:
		c.unfit(w.refusal(p))
	case podAccepting:
		if r := w.admit(p); r.reason != "" {
			c.reject(r)
			break
		}
		binds = true
		w.accept(&c, p, p.host)
	case podBinding:
		binds = true
		w.bind(&c, p, p.host)
	case podLosing:
		c.set(corev1.PodReady, corev1.ConditionFalse, "NodeNotReady", "node "+p.host.ref.Key.Name+" does not answer")
	case podCondemned:
		o.Status.Phase = corev1.PodFailed
	case podEnding:
		(&look{change: c, w: w, p: p, now: now}).terminate()
	default:
		w.look(p, o, now)
	}
	return w.changeStep(p, o, binds, now)
}

// changeStep returns the step by which a pod becomes o, a draft of it, or nil for
// one that has no form in the log.
func (w *World) changeStep(p *pod, o *corev1.Pod, binds bool, now time.Time) *Step {
	data, err := p.becomes(o)
	if err != nil {
		return nil
	}
	s := w.newStep(&p.item, events.VerbUpdated, events.Object{Ref: p.ref, Data: data}, now)
	s.object, s.of, s.binds = o, p, binds
	return s
}

// becomes returns the bytes of a draft of the pod: those of the pod but for what
// a draft may change.
func (p *pod) becomes(o *corev1.Pod) ([]byte, error) {
	data := p.data
	if name := o.Spec.NodeName; name != p.object().Spec.NodeName {
		spec, err := setting(wire.Field(data, "spec"), "nodeName", name)
		if err != nil {
			return nil, err
		}
		if data, err = wire.With(data, "spec", spec); err != nil {
			return nil, err
		}
	}
	return setting(data, "status", &o.Status)
}

// setting returns the map b with a value under a key.
func setting(b []byte, key string, v any) ([]byte, error) {
	value, err := wire.Marshal(v)
	if err != nil {
		return nil, err
	}
	return wire.With(b, key, value)
}

func (w *World) goneStep(p *pod, now time.Time) *Step {
	s := w.newStep(&p.item, events.VerbDeleted, events.Gone{Ref: p.ref, Data: p.data}, now)
	s.of = p
	return s
}

// bind gives a pod to a host. A simulated kubelet takes it with the same event.
func (w *World) bind(c *change, p *pod, h *host) {
	if !h.real() {
		w.accept(c, p, h)
		return
	}
	c.pod.Spec.NodeName = h.ref.Key.Name
	c.set(corev1.PodScheduled, corev1.ConditionTrue, "", "")
}

// accept binds a pod, unless it is, and has its kubelet take it.
func (w *World) accept(c *change, p *pod, h *host) {
	o := c.pod
	o.Spec.NodeName = h.ref.Key.Name
	hostIP := h.node.address
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
