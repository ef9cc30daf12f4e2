package replay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Point is a position of a log, and when the event there was stored.
type Point struct {
	Seq  events.Seq `json:"seq"`
	Time time.Time  `json:"time"`
}

// Ending says how a rollout ended.
type Ending string

// How rollouts end. The end of one that is under way is empty.
const (
	RolledOut  Ending = "RolledOut"  // the controller has said that it is done
	Superseded Ending = "Superseded" // the template was changed again before that
	Deleted    Ending = "Deleted"    // the DaemonSet was deleted before that
)

// Rollout is one template of a DaemonSet on its way to the nodes: from the fact
// that wrote the template to the controller's word that all of them have it.
type Rollout struct {
	DaemonSet events.Key `json:"daemonSet"`
	UID       types.UID  `json:"uid"`
	Revision  int64      `json:"revision,omitempty"` // number of its ControllerRevision; 0: it got none
	Hash      string     `json:"hash,omitempty"`     // of that revision, in the label of its pods
	Images    []string   `json:"images,omitempty"`   // of the template's containers, in order

	Who     string `json:"who,omitempty"`     // the user who wrote the template, if one is known
	Manager string `json:"manager,omitempty"` // with what, if that is known
	Why     string `json:"why,omitempty"`     // kubernetes.io/change-cause, else what the write changed

	Start  Point  `json:"start"`
	End    Point  `json:"end,omitzero"` // zero: it is under way
	Ending Ending `json:"ending,omitempty"`

	Nodes           int `json:"nodes"`           // that should run a pod, at the end or as far as the log goes
	Waves           int `json:"waves"`           // plans that put the template on nodes
	Restarted       int `json:"restarted"`       // pods that were deleted for it
	PeakUnavailable int `json:"peakUnavailable"` // the most of these nodes without an available pod at once
}

// String names a rollout as an instant does.
func (r *Rollout) String() string { return fmt.Sprintf("rollout/%s#%d", r.DaemonSet, r.Revision) }

// changeCause is the annotation in which people say why.
const changeCause = "kubernetes.io/change-cause"

// rollouts folds a log into its rollouts. The zero one has seen nothing; it has to
// be told of every event from the beginning of the log on, or of the state there.
type rollouts struct {
	all     []*Rollout                // in the order in which they began
	sets    []*rolling                // of the DaemonSets that are there, in the order of their creation
	deletes map[events.Cause]*Rollout // for which a command deletes a pod, whose fact is to come
}

// rolling is a DaemonSet with its last rollout.
type rolling struct {
	*Rollout
	generation int64  // of the DaemonSet when it got the template
	digest     string // of the template
	created    bool   // the DaemonSet was created with the template
}

// begin is told of the state that the log begins with. Rollouts that began before
// are known, and are not told of.
func (r *rollouts) begin(s *projector.State) {
	for _, d := range s.DaemonSets() {
		r.sets = append(r.sets, &rolling{Rollout: &Rollout{DaemonSet: d.Key, UID: d.UID, Ending: RolledOut}, generation: d.Object.Generation, digest: d.Digest})
	}
}

// take is told of an event, as it was folded, and of the state after it.
func (r *rollouts) take(s *projector.State, e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		r.deleted(e.Cause)
		if d := s.DaemonSet(b.Key); b.Kind == events.DaemonSet && d != nil && d.Seq == e.Seq { // else nobody can read it
			r.daemonSet(d.Object, d.Digest, e)
		}
	case events.Gone:
		r.deleted(e.Cause)
		if b.Kind == events.DaemonSet {
			r.forget(b.Key, e)
		}
	case *events.Plan:
		if x := r.of(b.Owner.Key); x != nil && x.UID == b.Owner.UID {
			r.plan(x, e.Seq, b)
		}
	}
	for _, x := range r.sets {
		if d := s.DaemonSet(x.DaemonSet); d != nil && x.Ending == "" {
			x.look(d.CurrentRevision(), d.Counts)
		}
	}
}

// deleted counts the pod that a command has deleted for a rollout.
func (r *rollouts) deleted(by events.Cause) {
	if x := r.deletes[by]; x != nil {
		x.Restarted++
		delete(r.deletes, by)
	}
}

// of returns the DaemonSet of a name.
func (r *rollouts) of(key events.Key) *rolling {
	i := slices.IndexFunc(r.sets, func(x *rolling) bool { return x.DaemonSet == key })
	if i < 0 {
		return nil
	}
	return r.sets[i]
}

// daemonSet takes a fact about a DaemonSet that is there.
func (r *rollouts) daemonSet(ds *appsv1.DaemonSet, digest string, e events.Event) {
	key := events.Key{Namespace: ds.Namespace, Name: ds.Name}
	x := r.of(key)
	if x != nil && x.UID != ds.UID {
		r.forget(key, e) // it was made again
		x = nil
	}
	switch {
	case x == nil:
		x = &rolling{created: true}
		r.sets = append(r.sets, x)
	case x.digest != digest:
		x.end(e, Superseded)
		x.created = false
	default:
		if rolledOut(ds, x.generation) {
			x.end(e, RolledOut)
		}
		return
	}
	x.generation, x.digest = ds.Generation, digest
	x.Rollout = &Rollout{DaemonSet: key, UID: ds.UID, Who: e.Actor, Manager: e.Manager, Start: Point{e.Seq, e.Stored},
		Why: cmp.Or(ds.Annotations[changeCause], e.Change)}
	for _, c := range ds.Spec.Template.Spec.Containers {
		x.Images = append(x.Images, c.Image)
	}
	r.all = append(r.all, x.Rollout)
}

// rolledOut reports whether the controller has said of a generation that it is
// rolled out.
func rolledOut(ds *appsv1.DaemonSet, generation int64) bool {
	return ds.Status.ObservedGeneration >= generation && slices.ContainsFunc(ds.Status.Conditions, func(c appsv1.DaemonSetCondition) bool {
		return c.Type == controller.ConditionProgressing && c.Status == corev1.ConditionTrue && c.Reason == controller.ReasonRolledOut
	})
}

// forget takes a DaemonSet that is gone off the list.
func (r *rollouts) forget(key events.Key, e events.Event) {
	if x := r.of(key); x != nil {
		x.end(e, Deleted)
		r.sets = slices.DeleteFunc(r.sets, func(y *rolling) bool { return y == x })
	}
}

// end ends a rollout, unless it has ended.
func (r *Rollout) end(e events.Event, how Ending) {
	if r.Ending == "" {
		r.End, r.Ending = Point{e.Seq, e.Stored}, how
	}
}

// look notes how the DaemonSet stands while its rollout is under way.
func (r *Rollout) look(rev *sets.Revision, now sets.Counts) {
	if rev != nil {
		r.Revision, r.Hash = rev.Number, rev.Hash
	}
	r.Nodes = now.Desired
	r.PeakUnavailable = max(r.PeakUnavailable, now.Desired-now.Available)
}

// plan takes a plan of a DaemonSet. It is a wave if it puts the template on nodes
// that run another or, of a new DaemonSet, none.
func (r *rollouts) plan(x *rolling, at events.Seq, p *events.Plan) {
	wave := false
	for i, c := range p.Commands {
		wave = wave || c.Reason == events.Rollout || c.Reason == events.Surge || x.created && c.Do == events.CreatePod
		if c.Do == events.DeletePod && (c.Reason == events.Rollout || c.Reason == events.SurgeDone) {
			if r.deletes == nil {
				r.deletes = map[events.Cause]*Rollout{}
			}
			r.deletes[events.Cause{Seq: at, Index: i}] = x.Rollout
		}
	}
	if wave && x.Ending == "" {
		x.Waves++
	}
}

// RolloutsOf returns the rollouts of a log, in the order in which they began.
func RolloutsOf(ctx context.Context, log events.Reader) ([]*Rollout, error) {
	var r rollouts
	s, err := Begin(ctx, log)
	if err != nil {
		return nil, err
	}
	r.begin(s)
	for e, err := range log.Read(ctx, s.Seq()) {
		if err != nil {
			return nil, fmt.Errorf("fold: %w", err)
		}
		e = projector.Fold(s, e)
		r.take(s, e)
	}
	return r.all, nil
}
