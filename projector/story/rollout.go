package story

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
)

// RolloutLine returns one line on how the rollout of a DaemonSet stands, for a
// live view. What waits, and for which revision, is in its last plan, which
// may be nil.
func RolloutLine(ds *appsv1.DaemonSet, last *events.Plan) string {
	st := &ds.Status
	parts := []string{OneLine(ds.Namespace + "/" + ds.Name)}
	if last != nil && last.Revision != "" {
		parts = append(parts, "rev "+cut(OneLine(last.Revision), 5))
	}
	if st.ObservedGeneration < ds.Generation {
		parts = append(parts, "not observed yet")
	}
	parts = append(parts, fmt.Sprintf("%d/%d updated", st.UpdatedNumberScheduled, st.DesiredNumberScheduled),
		fmt.Sprintf("%d unavailable%s", max(0, st.DesiredNumberScheduled-st.NumberAvailable), inBrackets(limits(ds))))
	if last != nil {
		for _, h := range last.Held {
			parts = append(parts, fmt.Sprintf("%d waiting: %s", h.Nodes, OneLine(string(h.For))))
		}
	}
	if stalled := Stalled(ds); stalled != "" {
		parts = append(parts, "STALLED "+cut(stalled, maxCause))
	} else if cause := RolloutCause(ds); cause != "" {
		parts = append(parts, cut(cause, maxCause))
	}
	return strings.Join(parts, "  ")
}

// maxCause bounds what one line says about what a rollout waits for.
const maxCause = 300

// RolloutCause returns what the rollout of a DaemonSet waits for and that does
// not pass by itself: what its condition says behind how far it is. It is empty
// for a rollout that is on its way, or done.
func RolloutCause(ds *appsv1.DaemonSet) string {
	for _, c := range ds.Status.Conditions {
		if c.Type == "Progressing" {
			_, cause, _ := strings.Cut(c.Message, "; ")
			return OneLine(cause)
		}
	}
	return ""
}

// Stalled returns why the rollout of a DaemonSet is stalled, on one line; empty:
// it is not.
func Stalled(ds *appsv1.DaemonSet) string {
	for _, c := range ds.Status.Conditions {
		if c.Type == "Stalled" && c.Status == corev1.ConditionTrue && ds.Status.ObservedGeneration == ds.Generation {
			return OneLine(c.Message)
		}
	}
	return ""
}

// limits returns the budget of a DaemonSet's rollouts as it is written.
func limits(ds *appsv1.DaemonSet) string {
	u := ds.Spec.UpdateStrategy
	switch r := u.RollingUpdate; {
	case u.Type == appsv1.OnDeleteDaemonSetStrategyType:
		return "on delete"
	case r == nil:
		return ""
	case r.MaxSurge != nil && r.MaxSurge.String() != "0" && r.MaxSurge.String() != "0%":
		return "surge max " + r.MaxSurge.String()
	case r.MaxUnavailable != nil:
		return "max " + r.MaxUnavailable.String()
	}
	return ""
}
