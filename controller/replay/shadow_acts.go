package replay

import (
	"bytes"
	"cmp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// act is one act while it is judged.
type act struct {
	Act
	owner   events.Key    // the DaemonSet
	uid     types.UID     // of the pod
	reason  events.Reason // for which there may be such an act; empty: there is none
	late    bool          // it was told when it was long done, or only its result was
	ending  bool          // the DaemonSet or its namespace was being deleted, or gone
	nodeOff bool          // the pod's node was gone
	lent    bool          // a pod's revision is that of another DaemonSet, and its own has none
	stale   bool          // why it was done may not hold any more
	instead task          // of another choice: what it was due instead of
	before  Class         // if it was decided before the DaemonSet was deleted
	crowded bool          // the controller had no more Events to spare for the DaemonSet
	cause   string        // of a disruption, by the pod's condition
	manager string        // who wrote the object, by its managedFields
	rv      uint64
	counted bool // by Divergences
}

// lateAfter is how long after it was done an act is told of at most if the recorder
// keeps up: what is told later, what held when it was done is not known.
const lateAfter = 10 * time.Second

// actOf returns what an event, which is not folded yet, says was done; nil: nothing
// that a DaemonSet controller does.
func (w *shadow) actOf(e ordered) *act {
	if !watched(w.s.Charter()) || !e.Cause.IsZero() {
		return nil
	}
	var a *act
	switch ref := events.RefOf(e.Event); ref.Kind {
	case events.Pod:
		a = w.podAct(e, ref)
	case events.ControllerRevision:
		a = w.revisionAct(e, ref)
	}
	if a == nil || !w.wants(a.owner) {
		return nil
	}
	ds := w.s.DaemonSet(a.owner)
	a.ending = a.ending || ds == nil || ds.Deleting() || w.s.Terminating(a.owner.Namespace)
	if ds != nil && (ds.Unknown != "" || len(ds.Missed) > 0) {
		w.unknown[a.owner] = true
		return nil
	}
	w.seen[a.owner] = true
	a.DaemonSet, a.Seq, a.Time, a.manager, a.rv = a.owner.String(), e.at, e.heard, e.Manager, e.rv
	a.late = a.late || e.Source == events.SourceRelist || w.owners[a.owner] == nil // a list tells of it before its DaemonSet
	a.crowded = w.evidence.crowded(a.owner, e.heard)
	return a
}

// wants reports whether a DaemonSet is one that is asked about.
func (w *shadow) wants(k events.Key) bool {
	switch {
	case w.q.Namespace != "" && k.Namespace != w.q.Namespace:
		return false
	case len(w.q.Of) > 0 && !w.q.Of[k]:
		return false
	case w.q.Match == nil || w.seen[k]:
		return true
	}
	ds := w.s.DaemonSet(k)
	return ds != nil && w.q.Match(ds.Object)
}

// podAct is actOf for an event about a pod.
func (w *shadow) podAct(e ordered, ref events.Ref) *act {
	was := w.s.Pod(ref.Key)
	o, is := e.Body.(events.Object)
	switch {
	case !is && was == nil:
		return nil
	case !is && was.Deleting:
		return nil
	case !is:
		return w.deletion(e, was, was.Object)
	case was == nil || was.UID != ref.UID:
		return w.creation(e, o)
	case !was.Deleting && len(wire.Text(wire.Field(o.Data, "metadata"), "deletionTimestamp")) > 0:
		return w.deletion(e, was, o)
	case !bytes.Equal(ownersOf(was.Data), ownersOf(o.Data)):
		return w.adoption(was, o)
	}
	return nil
}

func ownersOf(object []byte) []byte {
	return wire.Field(wire.Field(object, "metadata"), "ownerReferences")
}

// daemonSetOf returns the DaemonSet that controls an object; ok is false if none does.
func daemonSetOf(o metav1.Object) (k events.Key, uid types.UID, ok bool) {
	c := metav1.GetControllerOf(o)
	if c == nil || c.Kind != string(events.DaemonSet) || !strings.HasPrefix(c.APIVersion, events.DaemonSet.Group()+"/") {
		return k, "", false
	}
	return events.Key{Namespace: o.GetNamespace(), Name: c.Name}, c.UID, true
}

// creation is the act by which a pod was made. A pod that is told of with more than
// whoever makes one writes was made before: a list tells of it.
func (w *shadow) creation(e ordered, o events.Object) *act {
	var p corev1.Pod
	if o.Decode(&p) != nil {
		return nil
	}
	owner, uid, ok := daemonSetOf(&p)
	if !ok {
		return nil
	}
	a := &act{Act: Act{Do: events.CreatePod, Object: "pod/" + p.Name}, owner: owner, uid: p.UID}
	a.Node, _ = daemonpod.TargetNode(&p.Spec)
	a.late = len(p.Status.Conditions) > 0 || p.DeletionTimestamp != nil || p.CreationTimestamp.Add(lateAfter).Before(e.heard)
	ds := w.s.DaemonSet(owner)
	if a.ending = ds == nil || ds.UID != uid; !a.ending {
		a.reason = events.Missing
		rev := w.s.Revision(events.Key{Namespace: p.Namespace, Name: daemonpod.RevisionName(owner.Name, p.Labels[daemonpod.RevisionLabel])})
		a.lent = ds.CurrentRevision() == nil && rev != nil && rev.OwnerUID != uid
		if n := w.s.Node(a.Node); n != nil && ds.Surge {
			if c := ds.Cell(sets.CellKey{Node: a.Node, NodeUID: n.UID}); c != nil && len(ds.Survey(c, nil).Old) > 0 {
				a.reason = events.Surge
			}
		}
	}
	return a
}

// deletion is the act by which a pod, which was there, began to end, or was removed at
// once. o is what is told of it.
func (w *shadow) deletion(e ordered, was *sets.Pod, o events.Object) *act {
	if !was.Daemon {
		return nil
	}
	a := &act{Act: Act{Do: events.DeletePod, Object: "pod/" + was.Key.Name, Node: was.Node},
		owner: events.Key{Namespace: was.Key.Namespace, Name: was.OwnerName}, uid: was.UID}
	var p corev1.Pod
	if o.Decode(&p) == nil {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
				a.cause = string(c.Reason)
			}
		}
		if at := p.DeletionTimestamp; at != nil && p.DeletionGracePeriodSeconds != nil {
			began := at.Add(-time.Duration(*p.DeletionGracePeriodSeconds) * time.Second)
			a.late = began.Add(lateAfter).Before(e.heard)
		}
	}
	a.nodeOff = was.Bound && w.s.Node(was.Node) == nil
	ds := w.s.DaemonSet(a.owner)
	a.ending = ds == nil || ds.UID != was.OwnerUID
	if !a.ending && (was.Bound || !w.away(a.Node, w.now)) { // else it goes for its node's sake, by no budget
		a.reason = whyDelete(w.s, ds, was)
	}
	return a
}

// whyDelete returns for what a pod may be deleted, whatever a budget says.
func whyDelete(s *projector.State, ds *sets.DaemonSet, p *sets.Pod) events.Reason {
	c := ds.Cell(sets.CellKey{Node: p.Node, NodeUID: p.NodeUID})
	if c == nil {
		return ""
	}
	switch on := ds.Survey(c, nil); {
	case p.Terminal():
		return events.FailedPod
	case c.Place == sets.Evict:
		return events.NotWanted
	case ds.Surge && len(on.New) > 0 && len(on.Old) > 0 && !ds.IsNew(&p.PodView):
		return events.SurgeDone
	case on.Live() > 1:
		return events.Duplicate
	case !ds.IsNew(&p.PodView):
		return events.Rollout
	}
	return ""
}

// adoption is the act by which a DaemonSet became the controller of a pod, or ceased
// to be.
func (w *shadow) adoption(was *sets.Pod, o events.Object) *act {
	var p corev1.Pod
	if o.Decode(&p) != nil {
		return nil
	}
	a := &act{Act: Act{Object: "pod/" + was.Key.Name, Node: was.Node}, uid: was.UID}
	owner, _, owned := daemonSetOf(&p)
	switch {
	case owned && was.OwnerUID == "":
		a.Do, a.owner, a.reason = events.AdoptPod, owner, events.Selected
	case was.Daemon && metav1.GetControllerOf(&p) == nil:
		a.Do, a.owner, a.reason = events.ReleasePod, events.Key{Namespace: was.Key.Namespace, Name: was.OwnerName}, events.NotSelected
	default:
		return nil
	}
	return a
}

// revisionAct is actOf for an event about a revision.
func (w *shadow) revisionAct(e ordered, ref events.Ref) *act {
	was := w.s.Revision(ref.Key)
	o, is := e.Body.(events.Object)
	var rev appsv1.ControllerRevision
	switch {
	case !is && was == nil:
		return nil
	case !is:
		rev = *was.Object
	case o.Decode(&rev) != nil:
		return nil
	}
	owner, _, ok := daemonSetOf(&rev)
	if was != nil && !ok {
		owner, _, ok = daemonSetOf(was.Object)
	}
	if !ok {
		return nil
	}
	a := &act{Act: Act{Object: "controllerrevision/" + ref.Key.Name}, owner: owner, uid: ref.UID}
	switch {
	case !is:
		a.Do = doDropRevision
	case was == nil || was.Object.UID != ref.UID:
		a.Do = doMakeRevision
		a.late = rev.CreationTimestamp.Add(lateAfter).Before(e.heard)
	case was.Number != rev.Revision || len(was.Object.OwnerReferences) != len(rev.OwnerReferences):
		a.Do = doChangeRevision
	default:
		return nil
	}
	return a
}

// managerOfCluster is the field manager of a cluster's own controllers.
const managerOfCluster = "kube-controller-manager"

// nobody is who did what neither an Event nor an object tells the doer of.
const nobody = "nobody can tell"

// judge says who did an act that rollcall would not have done.
func (w *shadow) judge(a *act, end time.Time) {
	if a.Class != "" {
		return
	}
	by := w.evidence.of(a)
	switch {
	case a.late || w.inGap(a):
		a.Class = Unseen
	case a.Time.Add(skew).After(end):
		a.Class = TooNew
	case by != "" && a.before != "":
		a.Class, a.By = a.before, by
	case by != "":
		a.Class, a.By = Extra, by
	case a.cause != "":
		a.Class, a.By = Foreign, "disruption: "+a.cause
	case a.ending && a.Do != events.CreatePod:
		a.Class, a.By = Foreign, "garbage collector"
	case a.nodeOff:
		a.Class, a.By = Foreign, "pod garbage collector"
	case a.Do == doDropRevision, a.Do == events.DeletePod && a.crowded:
		a.Class, a.By = Foreign, nobody
	case a.Do == events.DeletePod: // that something is deleted is in no managedFields
		a.Class, a.By = Foreign, "a user"
	case a.manager == managerOfCluster:
		a.Class, a.By = Extra, a.manager
	default:
		a.Class, a.By = Foreign, cmp.Or(a.manager, "a user")
	}
}

// gap is a range of revisions of the cluster of which states of a kind may be missing, and
// when it was told of.
type gap struct {
	of       events.Kind
	from, to uint64
	at       time.Time
}

// inGap reports whether an act was done in a gap. So may have been what nobody reports an
// Event of, if it is told so soon after one that it was decided upon there, and a pod for a
// DaemonSet that was being deleted by its end: what that called for is not in the log, nor is
// it if its revision is not, without which rollcall makes no pod.
func (w *shadow) inGap(a *act) bool {
	for _, g := range w.gaps {
		switch {
		case a.rv <= g.from:
		case a.rv <= g.to, a.Do != events.CreatePod && a.Do != events.DeletePod && !a.Time.After(g.at.Add(skew)),
			a.Do == events.CreatePod && a.ending && (g.of == events.DaemonSet || g.of == events.ControllerRevision) && !a.Time.After(g.at.Add(slowest)):
			return true
		}
	}
	return false
}
