package replay

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
)

// match says whether an act is one that rollcall would have done.
func (w *shadow) match(a *act) {
	if a.late {
		w.patient = a.Time
		return
	}
	o := w.owners[a.owner]
	if o == nil {
		return
	}
	now := w.now
	o.adopts(a, now)
	if a.ending && a.Do != events.CreatePod {
		// It goes with its DaemonSet, or by what was decided before: who did it will tell.
		a.stale = a.Do == events.DeletePod
		switch _, ok := a.oneOf(o.recent, now); {
		case ok:
			a.before, a.Class, a.By = a.Class, "", ""
		case o.adopted(a, now):
			a.before = Other
		case w.away(a.Node, now):
			a.Rule = ruleNodeGone
		case o.unknown(now):
			a.before = Unseen
		}
		return
	}
	if _, ok := a.oneOf(o.due, now); ok {
		return
	}
	a.stale = a.Do == events.DeletePod && a.reason == "" && !w.away(a.Node, now) // else it was for the node's sake
	if i, ok := a.oneOf(o.recent, now); ok {
		if a.spends(o.recent[i].task) {
			o.recent = slices.Delete(o.recent, i, i+1)
		}
		return
	}
	a.stale = false
	if o.adopted(a, now) && !o.turned.Add(slowest).Before(now) {
		a.Class, a.By, a.Due = Other, component, "what was wanted before"
		return
	}
	// A kubelet's clock tells seconds, and a watch comes later: what is due in a
	// moment the cluster may have found to be due already.
	soon := shadowed{}
	soon.take(w.s, a.owner, moment{time: now.Add(skew), seq: w.at}, nil)
	if _, ok := a.oneOf(soon.due, now); ok {
		return
	}
	if o.unknown(now) {
		a.late = true
		return
	}
	a.Rule = w.ruleOf(a, o, now)
	if len(o.due) > 0 {
		a.Due = o.due[0].String()
	}
}

// ruleOf returns the rule of rollcall's own by which an act was not due; empty: there is none.
func (w *shadow) ruleOf(a *act, o *shadowed, now time.Time) controller.Rule {
	h := o.held[a.Node]
	switch {
	case a.Do == events.DeletePod && w.byNumber(a.owner, w.s.Pod(events.Key{Namespace: a.owner.Namespace, Name: strings.TrimPrefix(a.Object, "pod/")})):
		return ruleGeneration
	case w.away(a.Node, now):
		return ruleNodeGone
	case a.lent:
		return controller.RuleRevision // made again at once, it takes that of the one before, which is being collected
	case !h.at.Add(slowest).Before(now):
		return controller.Rule(h.by)
	}
	return ""
}

// away reports whether a node is not there, or was not when it may have been decided what is
// done: a controller may delete a pod for its node's sake when that is back.
func (w *shadow) away(node string, now time.Time) bool {
	return node != "" && (w.s.Node(node) == nil || !w.left[node].Add(slowest).Before(now))
}

// unknown reports whether what is done may be for a spec that the log does not have.
func (o *shadowed) unknown(now time.Time) bool { return !o.leapt.Add(slowest).Before(now) }

// adopts remembers when a pod was adopted, if that is what was done.
func (o *shadowed) adopts(a *act, now time.Time) {
	if a.Do != events.AdoptPod {
		return
	}
	if o.taken == nil {
		o.taken = map[types.UID]time.Time{}
	}
	maps.DeleteFunc(o.taken, func(_ types.UID, at time.Time) bool { return at.Add(slowest).Before(now) })
	o.taken[a.uid] = now
}

// adopted reports whether an act deletes a pod that was adopted just now: a controller adopts
// and deletes in one round, for what was wanted at its beginning.
func (o *shadowed) adopted(a *act, now time.Time) bool {
	return a.Do == events.DeletePod && !o.taken[a.uid].Add(slowest).Before(now)
}

// oneOf takes the class of an act that is one of some tasks, or like one, and returns
// which.
func (a *act) oneOf(due []dueTask, now time.Time) (i int, ok bool) {
	a.Class = Agreed
	i = slices.IndexFunc(due, func(d dueTask) bool { return a.same(d.task) })
	if i < 0 {
		a.Class = Other
		i = slices.IndexFunc(due, func(d dueTask) bool { return a.alike(d.task) })
	}
	if i < 0 {
		a.Class = ""
		return i, false
	}
	a.By, a.Lead, a.reason, a.Due = component, max(0, now.Sub(due[i].since)), due[i].reason, string(due[i].reason)
	if a.Class == Other {
		a.Due, a.instead = due[i].String(), due[i].task
	}
	return i, true
}

// same reports whether a task is just what was done.
func (a *act) same(t task) bool {
	switch {
	case a.Do != t.do:
		return false
	case a.Do == events.CreatePod:
		return a.Node == t.node
	case a.Do == doMakeRevision:
		return true
	case t.uid == "":
		return a.Object == t.object()
	}
	return a.uid == t.uid
}

// spends reports whether an act has used up a task. One that is told of late was done when
// something else was due, so that it is known of no other task whether it was done instead;
// and that a pod is missing on one node is not mended on another.
func (a *act) spends(t task) bool {
	return a.Do == t.do && a.reason == t.reason && (a.same(t) || !a.late && a.reason != events.Missing)
}

// alike reports whether a task is for the same reason, within the same budget.
func (a *act) alike(t task) bool {
	if a.Do != t.do {
		return false
	}
	switch a.reason {
	case events.Rollout, events.Missing, events.Surge:
		return a.reason == t.reason
	case events.Duplicate, events.SurgeDone:
		return a.reason == t.reason && a.Node == t.node
	}
	return a.Do == doDropRevision || a.stale && (t.reason == events.Rollout || a.Node == t.node)
}

// object returns what a task is about; empty: something that is not there.
func (t task) object() string {
	switch {
	case t.name == "":
		return ""
	case t.uid == "":
		return "controllerrevision/" + t.name
	}
	return "pod/" + t.name
}

// String says what a task is to do.
func (t task) String() string {
	parts := []string{string(t.do)}
	if t.name != "" {
		parts = append(parts, t.name)
	}
	if t.node != "" {
		parts = append(parts, "on "+t.node)
	}
	if t.reason != "" {
		parts = append(parts, "("+string(t.reason)+")")
	}
	return strings.Join(parts, " ")
}
