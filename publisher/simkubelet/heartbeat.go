package simkubelet

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
)

// heartbeatEvery is how often a kubelet renews its lease by default: a quarter
// of the 40 s that it lasts.
const heartbeatEvery = 10 * time.Second

// Heartbeat returns when the kubelet of a simulated node last said that it is
// alive, as of now, and whether it ever did. No kubelet says so in the log:
// while it is Ready it renews in time, and one that is lost did so until then.
func Heartbeat(n *corev1.Node, now time.Time) (time.Time, bool) {
	if n.Labels[events.LabelSimulated] != "true" {
		return time.Time{}, false
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			since := c.LastTransitionTime.Time
			if c.Status != corev1.ConditionTrue || now.Before(since) {
				return since, true
			}
			return since.Add(now.Sub(since).Truncate(heartbeatEvery)), true
		}
	}
	return time.Time{}, false
}
