package replay

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Unready are pods of a DaemonSet that are not ready for one and the same reason.
// No rule holds anything back here: what is waited for has to come from outside,
// such as a Secret that a volume is made of, or an image.
type Unready struct {
	Reason string   `json:"reason"`         // as kubectl get pods has it, if the kubelet has one: ContainerCreating
	Says   string   `json:"says,omitempty"` // of the first pod, in the kubelet's words
	Pods   []Holder `json:"pods"`
}

// unready returns the pods of a DaemonSet, on one node or all, that are where they
// belong and are not ready.
func (b blocking) unready(s *projector.State) (us []Unready) {
	ds := s.DaemonSet(b.of)
	if ds == nil {
		return nil
	}
	var kinds []mark // of us: what the pods wait for without what is a pod's own
	for _, c := range ds.AllCells() {
		if c.Place == sets.Evict || b.node != "" && c.Node != b.node {
			continue
		}
		for _, p := range c.Pods {
			if p.Ready || p.Deleting || p.Terminal() {
				continue
			}
			reason, says := waitsFor(s, p.Key)
			own := strings.NewReplacer(p.Key.Name, "", string(p.UID), "")
			m := mark{says: own.Replace(reason + "\n" + says)}
			i := slices.Index(kinds, m)
			if i < 0 {
				i = len(us)
				kinds, us = append(kinds, m), append(us, Unready{Reason: reason, Says: says})
			}
			us[i].Pods = append(us[i].Pods, holder(c.Node, p.Key, events.Seq(p.Rev)))
		}
	}
	return us
}

// waitsFor returns why a pod is not ready, by its status: what the first container
// that has something to say waits for, or else the first that waits, or else the
// first condition that is not met.
func waitsFor(s *projector.State, pod events.Key) (reason, says string) {
	o, _, ok := s.Object(events.Pod, pod)
	p := new(corev1.Pod)
	if !ok || o.Decode(p) != nil {
		return "NotReady", ""
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		switch w := c.State.Waiting; {
		case w != nil && w.Message != "":
			return w.Reason, w.Message
		case w != nil && reason == "":
			reason = w.Reason
		}
	}
	if reason != "" {
		return reason, ""
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.PodReady} {
		for _, c := range p.Status.Conditions {
			if c.Type == kind && c.Status == corev1.ConditionFalse {
				return cmp.Or(c.Reason, "NotReady"), c.Message
			}
		}
	}
	return "NotReady", ""
}

// accountUnready fills in the last facts of pods that are not ready.
func (h *History) accountUnready(ctx context.Context, cs behind, us []Unready) (err error) {
	for i := range us {
		if err := h.lastFacts(ctx, cs, us[i].Pods); err != nil {
			return err
		}
	}
	return nil
}
