package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events"
	"rollcall/projector/sets"
)

// Conditions of a DaemonSet's status. Upstream writes none; these are a
// Deployment's, Stalled, and Held, which only a DaemonSet has that was held.
const (
	conditionAvailable   appsv1.DaemonSetConditionType = "Available"
	ConditionProgressing appsv1.DaemonSetConditionType = "Progressing"
	ConditionStalled     appsv1.DaemonSetConditionType = "Stalled"
	ConditionHeld        appsv1.DaemonSetConditionType = "Held"

	// ReasonPaused and ReasonHeld are why one that is not done goes on by nobody's fault.
	ReasonPaused = "Paused"
	ReasonHeld   = "Held"

	// ReasonRolledOut is why a rollout that is done is Progressing.
	ReasonRolledOut = "RolledOut"
)

// Conditions are all that a controller gives a DaemonSet.
var Conditions = []appsv1.DaemonSetConditionType{conditionAvailable, ConditionProgressing, ConditionStalled, ConditionHeld}

// maxStalledNodes is how many nodes a Stalled condition names.
const maxStalledNodes = 20

// status compares the status with the counters and asks for a write if they differ.
func (d *decider) status() {
	ds := d.ds
	available, _ := d.available()
	c := ds.Counts
	was := &ds.Object.Status
	is := *was
	is.Conditions = append(d.stated[:0], was.Conditions...)
	is.ObservedGeneration = ds.Object.Generation
	is.DesiredNumberScheduled = int32(c.Desired)
	is.CurrentNumberScheduled = int32(c.Scheduled)
	is.NumberMisscheduled = int32(c.Misscheduled)
	is.NumberReady = int32(c.Ready)
	is.UpdatedNumberScheduled = int32(c.Updated)
	is.NumberAvailable = int32(available)
	is.NumberUnavailable = int32(c.Desired - available)
	d.conditions(&is, available)
	if sameStatus(was, &is) {
		return
	}
	o := *ds.Object // frozen: only the status differs
	o.Status = is
	d.out.Status = &Write{events.DaemonSet, events.VerbUpdated, &o, ds.Seq}
}

// sameStatus reports whether two statuses say the same. A condition's time
// differs only if its status does.
func sameStatus(a, b *appsv1.DaemonSetStatus) bool {
	same := func(c, d appsv1.DaemonSetCondition) bool {
		return c.Type == d.Type && c.Status == d.Status && c.Reason == d.Reason && c.Message == d.Message
	}
	return numbers(a) == numbers(b) && slices.EqualFunc(a.Conditions, b.Conditions, same)
}

// numbers are the counters of a status, to be compared.
func numbers(s *appsv1.DaemonSetStatus) [8]int64 {
	return [8]int64{s.ObservedGeneration, int64(s.DesiredNumberScheduled), int64(s.CurrentNumberScheduled),
		int64(s.NumberMisscheduled), int64(s.NumberReady), int64(s.UpdatedNumberScheduled),
		int64(s.NumberAvailable), int64(s.NumberUnavailable)}
}

func (d *decider) conditions(st *appsv1.DaemonSetStatus, available int) {
	ds := d.ds
	desired, updated := ds.Counts.Desired, ds.Counts.Updated
	unavailable, _, err := resolve(ds.Spec.UpdateStrategy.RollingUpdate, desired)
	if err != nil {
		unavailable = 0
	}
	enough := desired-available <= unavailable
	d.condition(st, conditionAvailable, enough, "MinimumNodesAvailable", "NodesUnavailable",
		nodesOf(available, desired, " nodes have an available pod"))

	causes := d.causes()
	done := available == desired && (updated == desired || d.holdsBack(0))
	held := !done && d.heldUp(available)
	progress := ds.Progress
	if d.progress.After(progress) {
		progress = d.progress
	}
	deadline := progress.Add(ds.Settings.Deadline)
	stalled := !done && !ds.IsPaused() && !held && !d.now.Before(deadline)
	stuck, guarded := d.stuck()
	switch {
	case stuck != "":
		d.condition(st, ConditionProgressing, false, "", stuck, listed(guarded, causes))
	case stalled:
		d.condition(st, ConditionProgressing, false, "", "ProgressDeadlineExceeded",
			listed(fmt.Sprintf("no progress for %s", ds.Settings.Deadline), causes))
	case done:
		d.condition(st, ConditionProgressing, true, ReasonRolledOut, "", listed(strconv.Itoa(updated)+" nodes are up to date", causes))
	case ds.IsPaused():
		d.condition(st, ConditionProgressing, true, ReasonPaused, "",
			listed(nodesOf(updated, desired, " nodes are up to date"), append([]string{d.paused()}, causes...)))
	case held:
		d.condition(st, ConditionProgressing, true, ReasonHeld, "",
			listed(nodesOf(updated, desired, " nodes are up to date"), causes))
	default:
		d.requeueBy(deadline)
		d.condition(st, ConditionProgressing, true, "RollingOut", "",
			listed(nodesOf(updated, desired, " nodes are up to date"), causes))
	}
	message := ""
	if stalled {
		message = listed(d.stalledOn(), causes)
	}
	why := "ProgressDeadlineExceeded"
	if stuck != "" {
		why, message = stuck, listed(guarded, causes)
	}
	d.condition(st, ConditionStalled, stalled || stuck != "", why, "Progressing", message)
	d.heldCondition(st)
}

// heldCondition says who holds the DaemonSet. One that nobody ever held says
// nothing about it.
func (d *decider) heldCondition(st *appsv1.DaemonSetStatus) {
	reason, text := d.heldBy()
	if reason != "" || slices.ContainsFunc(st.Conditions, func(c appsv1.DaemonSetCondition) bool { return c.Type == ConditionHeld }) {
		d.condition(st, ConditionHeld, reason != "", reason, "NotHeld", text)
	}
}

// nodesOf says what so many of all nodes are. It is said for every event, and
// costs one allocation, where fmt.Sprintf costs three.
func nodesOf(n, all int, are string) string {
	var b [64]byte
	text := strconv.AppendInt(b[:0], int64(n), 10)
	text = strconv.AppendInt(append(text, " of "...), int64(all), 10)
	return string(append(text, are...))
}

// listed appends what holds a rollout up to how it stands.
func listed(how string, causes []string) string {
	if len(causes) == 0 {
		return how
	}
	return how + "; " + strings.Join(causes, "; ")
}

// holdsBack reports whether the old pods that are left are meant to stay, by
// OnDelete, no canary or the partition, which counts nodes that are held.
func (d *decider) holdsBack(held int) bool {
	ds := d.ds
	if ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		return true
	}
	stay := held
	if p := ds.Settings.Partition; p != nil {
		n, _ := intstr.GetScaledValueFromIntOrPercent(p, ds.Counts.Desired, false) // was checked when it was read
		stay = max(n, held)
	}
	return ds.Counts.Desired-ds.Counts.Updated <= stay+d.size(sets.OldWithheld)
}

// condition sets a condition; its transition time moves only with its status.
func (d *decider) condition(st *appsv1.DaemonSetStatus, t appsv1.DaemonSetConditionType, ok bool, yes, no, message string) {
	c := appsv1.DaemonSetCondition{Type: t, Status: corev1.ConditionFalse, Reason: no, Message: message,
		LastTransitionTime: metav1.NewTime(d.now.Truncate(time.Second))}
	if ok {
		c.Status, c.Reason = corev1.ConditionTrue, yes
	}
	for i := range st.Conditions {
		if old := &st.Conditions[i]; old.Type == t {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			*old = c
			return
		}
	}
	st.Conditions = append(st.Conditions, c)
}

// stalledOn names the nodes that a stalled rollout waits for, and why.
func (d *decider) stalledOn() string {
	var names []string
	n := 0
	for _, c := range d.ds.AllCells() {
		why := d.unfinished(c)
		if why == "" {
			continue
		}
		if n++; n <= maxStalledNodes {
			names = append(names, c.Node+" ("+why+")")
		}
	}
	text := strings.Join(names, ", ")
	if more := n - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d nodes: %s", n, text)
}

// unfinished says what a node lacks to be done, or "".
func (d *decider) unfinished(c *sets.Cell) string {
	if c.Place != sets.Run {
		return ""
	}
	s := d.ds.Survey(c, &d.survey)
	switch {
	case c.Creating():
		return "pod is being created"
	case len(s.New) > 0 && d.isAvailable(s.New[0]):
		return ""
	case len(s.New) > 0 && !s.New[0].ReadySince.IsZero():
		return "new pod is not available yet"
	case len(s.New) > 0:
		return "new pod is not ready"
	case len(s.Dead) > 0:
		return "pod " + string(s.Dead[0].Phase)
	case len(s.Old) > 0:
		return "old revision"
	case s.Terminating+s.Leaving > 0:
		return "old pod is terminating"
	case c.Failures > 0:
		return "pods failed"
	}
	return "no pod"
}
