package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// RolloutStatus returns what kubectl rollout status says of a DaemonSet, one
// line without its end, and whether that is the last word. It returns an error
// for a DaemonSet that is not rolled out at all.
func RolloutStatus(ds *appsv1.DaemonSet) (text string, done bool, err error) {
	st := &ds.Status
	switch {
	case ds.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType:
		return "", false, refuse("E-CLI-STRATEGY", "rollout status is only available for RollingUpdate strategy type")
	case st.ObservedGeneration < ds.Generation:
		return "Waiting for daemon set spec update to be observed...", false, nil
	case st.UpdatedNumberScheduled < st.DesiredNumberScheduled:
		return fmt.Sprintf("Waiting for daemon set %q rollout to finish: %d out of %d new pods have been updated...",
			ds.Name, st.UpdatedNumberScheduled, st.DesiredNumberScheduled), false, nil
	case st.NumberAvailable < st.DesiredNumberScheduled:
		return fmt.Sprintf("Waiting for daemon set %q rollout to finish: %d of %d updated pods are available...",
			ds.Name, st.NumberAvailable, st.DesiredNumberScheduled), false, nil
	}
	return fmt.Sprintf("daemon set %q successfully rolled out", ds.Name), true, nil
}

// ErrRolloutDeleted is the end of a watch whose DaemonSet was deleted, and
// ErrRolloutTimeout of one that took too long.
var (
	ErrRolloutDeleted = &events.Error{Code: "E-CLI-DELETED", What: "object has been deleted", Exit: events.ExitFailure}
	ErrRolloutTimeout = &events.Error{Code: "E-CLI-TIMEOUT", What: "timed out waiting for the condition", Exit: events.ExitTimeout}
)

// CheckRevision refuses a number of --revision that none can have; 0 is none.
func CheckRevision(n int64) error {
	if n < 0 {
		return refuse("E-CLI-REVISION", fmt.Sprintf("revision must be a positive integer: %d", n))
	}
	return nil
}

func refuse(code, what string) *events.Error {
	return &events.Error{Code: code, What: what, Exit: events.ExitFailure}
}

// changeCause is the annotation under which people say why they changed something.
const changeCause = "kubernetes.io/change-cause"

// RolloutHistory returns what kubectl rollout history prints of a DaemonSet.
// The revisions are those that it owns; several of one number are one line,
// that of the last.
func RolloutHistory(ds string, owned []*appsv1.ControllerRevision) string {
	head := "daemonset.apps/" + ds + " \n"
	if len(owned) == 0 {
		return head + "No rollout history found.\n"
	}
	causes := map[int64]string{}
	var numbers []int64
	for _, r := range owned {
		causes[r.Revision] = cmp.Or(r.Annotations[changeCause], none)
		numbers = append(numbers, r.Revision)
	}
	slices.Sort(numbers)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tCHANGE-CAUSE")
	for _, n := range slices.Compact(numbers) {
		fmt.Fprintf(w, "%d\t%s\n", n, oneLine(causes[n]))
	}
	_ = w.Flush() // a strings.Builder takes everything
	return head + b.String()
}

// RolloutRevision returns what kubectl rollout history --revision prints.
func RolloutRevision(ds string, owned []*appsv1.ControllerRevision, number int64) (string, error) {
	if err := CheckRevision(number); err != nil {
		return "", err
	}
	var found *appsv1.ControllerRevision
	for _, r := range owned {
		if r.Revision == number {
			found = r
		}
	}
	if found == nil {
		return "", refuse("E-CLI-REVISION", "unable to find the specified revision")
	}
	t, err := daemonpod.Template(found.Data.Raw)
	if err != nil {
		return "", &events.Error{Code: "E-CLI-REVISION", What: fmt.Sprintf("revision %d cannot be read", number),
			Where: found.Namespace + "/" + found.Name, Why: err.Error(), Exit: events.ExitFailure, Err: err}
	}
	return fmt.Sprintf("daemonset.apps/%s with revision #%d\n%s", ds, number, Template(t)), nil
}

// RolloutLine returns one line on how the rollout of a DaemonSet stands, for a
// live view. What waits, and for which revision, is in its last plan, which
// may be nil.
func RolloutLine(ds *appsv1.DaemonSet, last *events.Plan) string {
	st := &ds.Status
	parts := []string{oneLine(ds.Namespace + "/" + ds.Name)}
	if last != nil && last.Revision != "" {
		parts = append(parts, "rev "+cut(oneLine(last.Revision), 5))
	}
	if st.ObservedGeneration < ds.Generation {
		parts = append(parts, "not observed yet")
	}
	parts = append(parts, fmt.Sprintf("%d/%d updated", st.UpdatedNumberScheduled, st.DesiredNumberScheduled),
		fmt.Sprintf("%d unavailable%s", max(0, st.DesiredNumberScheduled-st.NumberAvailable), inBrackets(limits(ds))))
	if last != nil {
		for _, h := range last.Held {
			parts = append(parts, fmt.Sprintf("%d waiting: %s", h.Nodes, oneLine(string(h.For))))
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
			return oneLine(cause)
		}
	}
	return ""
}

// Stalled returns why the rollout of a DaemonSet is stalled, on one line; empty:
// it is not.
func Stalled(ds *appsv1.DaemonSet) string {
	for _, c := range ds.Status.Conditions {
		if c.Type == "Stalled" && c.Status == corev1.ConditionTrue && ds.Status.ObservedGeneration == ds.Generation {
			return oneLine(c.Message)
		}
	}
	return ""
}

// ErrRolloutStalled is the end of a watch whose rollout does not go on.
func ErrRolloutStalled(ds *appsv1.DaemonSet) *events.Error {
	return &events.Error{Code: "E-CLI-STALLED", What: fmt.Sprintf("the rollout of daemon set %q is stalled", ds.Name), Why: Stalled(ds),
		Do: "correct the manifest or the nodes, or undo it with rollcall rollout undo ds/" + ds.Name, Exit: events.ExitHalt}
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
