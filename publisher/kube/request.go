package kube

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
	"rollcall/publisher/executor"
)

// notOurs is the answer where pods are made by the cluster's own controller.
var notOurs = &executor.Overtaken{Reason: reasonMode, Message: "pods are made and adopted by the cluster's own controller"}

// lastBasis is of decisions that hold whatever becomes of other pods.
const lastBasis = events.Seq(math.MaxInt64)

// basisOf returns the position that a deletion was decided from, if other pods have a
// part in it.
func basisOf(d executor.Deletion) events.Seq {
	switch d.Reason {
	case events.Rollout, events.SurgeDone, events.Duplicate:
		return d.Basis
	}
	return lastBasis
}

// asItWas reports whether a pod that is deleted for a reason has to be what it was: one
// that was not ready may be ready by now.
func asItWas(why events.Reason) bool {
	return why == events.Rollout || why == events.FailedPod || why == events.Succeeded
}

// markOf returns what a pod that a command makes has in its annotation, by the id of the log.
func markOf(log string, c events.Cause) string { return fmt.Sprintf("%s/%d.%d", log, c.Seq, c.Index) }

// causeOf returns the command that a pod was made for, by the log of an id; ok is false
// if it was not made from that log. Whoever copies a manifest copies its mark: the command
// has to say so too.
func causeOf(pod []byte, log string) (c events.Cause, ok bool) {
	mark := string(wire.Text(wire.Field(wire.Field(pod, "metadata"), "annotations"), daemonpod.CauseAnnotation))
	id, at, _ := strings.Cut(mark, "/")
	seq, index, found := strings.Cut(at, ".")
	if id != log || !found {
		return c, false
	}
	n, err := strconv.ParseUint(seq, 10, 63)
	i, err2 := strconv.Atoi(index)
	return events.Cause{Seq: events.Seq(n), Index: i}, err == nil && err2 == nil && n > 0 && i >= 0
}

// requestOf returns a pod as a cluster is asked to make it: what a server decides is left
// to it, and the node to the scheduler.
func requestOf(pod *corev1.Pod, mark string) *corev1.Pod {
	p := pod.DeepCopy()
	p.UID, p.ResourceVersion, p.Generation, p.CreationTimestamp = "", "", 0, metav1.Time{}
	p.Annotations = maps.Clone(p.Annotations)
	metav1.SetMetaDataAnnotation(&p.ObjectMeta, daemonpod.CauseAnnotation, mark)
	p.Spec.NodeName, p.Spec.Priority, p.Spec.PreemptionPolicy = "", nil, nil
	p.Status = corev1.PodStatus{}
	return p
}

// sameName says what a pod means that has the name of one that should be made: nil if it
// is that one, by an earlier try.
func sameName(is, want *corev1.Pod, mark string) error {
	a, b := metav1.GetControllerOf(is), metav1.GetControllerOf(want)
	switch {
	case is.Annotations[daemonpod.CauseAnnotation] == mark:
		return nil
	case a != nil && b != nil && a.UID == b.UID && is.Labels[daemonpod.RevisionLabel] == want.Labels[daemonpod.RevisionLabel]:
		return &executor.Overtaken{Reason: reasonExists, Message: "another has made the pod"}
	}
	return &executor.Refusal{Reason: string(metav1.StatusReasonAlreadyExists), Message: "another pod has the name"}
}

// rival says what somebody has done who acts as the controller of DaemonSets in a cluster
// since a second of the cluster's clock, by what it says of an object; "": nobody has. ours
// says of a pod that was made that a command of this log has had it made.
func (s *Seen) rival(since int64, ours bool) string {
	switch made := s.made.Unix() > since && !s.Gone; {
	case s.Kind == events.Pod && made && s.owner != nil && s.owner.Kind == string(events.DaemonSet) && groupOf(s.owner) == events.DaemonSet.Group() && !ours:
		return fmt.Sprintf("%s was made for DaemonSet %s, and by no command of this log", s.Ref, s.owner.Name)
	case s.Kind == events.ControllerRevision && made && s.hands[wroteObject].manager == kubeControllerManager && s.owner != nil && s.owner.Kind == string(events.DaemonSet):
		return fmt.Sprintf("%s was made by %s", s.Ref, kubeControllerManager)
	case s.Kind == events.DaemonSet && s.hands[wroteStatus].manager == kubeControllerManager && s.hands[wroteStatus].at.Unix() > since:
		return fmt.Sprintf("the status of %s was written by %s", s.Ref, kubeControllerManager)
	}
	return ""
}

// odd reports whether somebody has written what a controller of DaemonSets writes, since a
// second of the cluster's clock, who may be one or not.
func (s *Seen) odd(since int64) bool {
	h := s.hands[wroteObject]
	switch s.Kind {
	case events.DaemonSet:
		h = s.hands[wroteStatus]
	case events.ControllerRevision:
		if s.owner == nil { // the garbage collector lets go what is to outlive its owner
			return false
		}
	default:
		return false
	}
	return !s.Gone && h.manager != "" && h.manager != manager && h.at.Unix() > since
}

// kubeControllerManager is how Kubernetes' own controllers write.
const kubeControllerManager = "kube-controller-manager"
