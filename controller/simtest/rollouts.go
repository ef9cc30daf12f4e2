package simtest

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller/replay"
	"rollcall/events"
)

// rollouts holds the list of rollouts that replay makes of the log against the
// entries of the log: where each begins and ends, and how many pods were deleted
// for all of them.
func (h *History) rollouts() *Violation {
	all, err := replay.RolloutsOf(context.Background(), h.log)
	if err != nil {
		return violation("L16", h.last(), "rollouts: %v", err)
	}
	begun := h.begun()
	if len(all) != len(begun) {
		return violation("L16", h.last(), "%d rollouts, want them at %v", len(all), begun)
	}
	restarted := 0
	last := map[types.UID]*replay.Rollout{}
	for i, r := range all {
		restarted += r.Restarted + r.RestartedAfter
		switch was := last[r.UID]; {
		case r.Start.Seq != begun[i]:
			return violation("L16", r.Start.Seq, "a rollout of %s begins, want #%d", r.DaemonSet, begun[i])
		case was != nil && (was.Ending == "" || was.End.Seq > r.Start.Seq || was.Ending == replay.Superseded && was.End != r.Start):
			return violation("L16", r.Start.Seq, "a rollout of %s begins, the one before ends at #%d (%s)", r.DaemonSet, was.End.Seq, was.Ending)
		case r.Ending == replay.RolledOut && !h.toldDone(r):
			return violation("L16", r.End.Seq, "a rollout of %s ends, and nothing says that it is done", r.DaemonSet)
		case r.Ending != "" && r.End.Seq <= r.Start.Seq || r.PeakUnavailable < 0 || r.Restarted > 0 && len(r.Waves) == 0 && r.Ending == "":
			return violation("L16", r.Start.Seq, "rollout %+v", *r)
		}
		last[r.UID] = r
	}
	for uid, r := range last {
		if gone := h.model.sets[uid].gone; gone != (r.Ending == replay.Deleted) && r.Ending != replay.RolledOut {
			return violation("L16", h.last(), "%s is gone: %v, and its last rollout %+v", r.DaemonSet, gone, *r)
		}
	}
	for _, k := range sortedKeys(h.model.named, events.Key.Compare) {
		ds := h.model.named[k].DaemonSet
		if r := last[ds.UID]; says(ds, "RolledOut") && r.Ending != replay.RolledOut {
			return violation("L16", h.last(), "%s is rolled out, and its last rollout %+v", k, *r)
		}
	}
	if want := h.deletedForRollouts(); restarted != want {
		return violation("L16", h.last(), "%d pods were deleted for rollouts, want %d", restarted, want)
	}
	return nil
}

// toldDone reports whether the fact at the end of a rollout says that the template
// which its start has written is rolled out.
func (h *History) toldDone(r *replay.Rollout) bool {
	end, is := h.entries[r.End.Seq-1].object.(*appsv1.DaemonSet)
	start, was := h.entries[r.Start.Seq-1].object.(*appsv1.DaemonSet)
	return is && was && says(end, "RolledOut") && end.Status.ObservedGeneration >= start.Generation
}

// says reports whether the status of a DaemonSet has a condition with this reason,
// of its present generation.
func says(ds *appsv1.DaemonSet, reason string) bool {
	return ds.Status.ObservedGeneration == ds.Generation && slices.ContainsFunc(ds.Status.Conditions,
		func(c appsv1.DaemonSetCondition) bool { return c.Reason == reason })
}

// begun returns the positions of the facts that have another template than the
// DaemonSet had before.
func (h *History) begun() (at []events.Seq) {
	templates := map[events.Key]string{}
	for _, e := range h.entries {
		if r := events.RefOf(e.Event); r.Kind != events.DaemonSet || e.forged {
			continue
		}
		ds, there := e.object.(*appsv1.DaemonSet)
		key := events.RefOf(e.Event).Key
		if !there {
			if _, gone := e.Body.(events.Gone); gone {
				delete(templates, key)
			}
			continue
		}
		is := string(ds.UID) + templateOf(&ds.Spec.Template)
		if templates[key] != is {
			at = append(at, e.Seq)
		}
		templates[key] = is
	}
	return at
}

// deletedForRollouts counts the commands that a fact says have deleted a pod for a
// rollout.
func (h *History) deletedForRollouts() int {
	deletes, done := map[events.Cause]bool{}, map[events.Cause]bool{}
	for _, e := range h.entries {
		if p, ok := e.Body.(*events.Plan); ok {
			for i, c := range p.Commands {
				if slices.Contains([]events.Reason{events.Rollout, events.SurgeDone}, c.Reason) && c.Do == events.DeletePod {
					deletes[events.Cause{Seq: e.Seq, Index: i}] = true
				}
			}
		}
		switch e.Body.(type) {
		case events.Object, events.Gone:
			if deletes[e.Cause] {
				done[e.Cause] = true
			}
		}
	}
	return len(done)
}
