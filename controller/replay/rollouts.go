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
	Revision  int64      `json:"revision,omitempty"`     // number of its ControllerRevision; 0: it got none
	Hash      string     `json:"hash,omitempty"`         // of that revision, in the label of its pods
	Before    []string   `json:"imagesBefore,omitempty"` // of the template that was replaced; empty: the DaemonSet is new
	Images    []string   `json:"images,omitempty"`       // of the template's containers, in order

	Who     string `json:"who,omitempty"`     // the user who wrote the template, if one is known
	Manager string `json:"manager,omitempty"` // with what, if that is known
	Why     string `json:"why,omitempty"`     // kubernetes.io/change-cause, else what the write changed

	Start  Point  `json:"start"`
	End    Point  `json:"end,omitzero"` // zero: it is under way
	Ending Ending `json:"ending,omitempty"`

	Nodes           int     `json:"nodes"`                    // that should run a pod, at the end or as far as the log goes
	Waves           []*Wave `json:"waves,omitempty"`          // in their order
	Restarted       int     `json:"restarted"`                // pods that were deleted for it
	RestartedAfter  int     `json:"restartedAfter,omitempty"` // pods that its commands deleted when it had ended
	PeakUnavailable int     `json:"peakUnavailable"`          // the most of these nodes without an available pod at once
	Failures        int     `json:"failures"`                 // pods of its template that failed or could not start
	Limits          Limits  `json:"limits,omitzero"`
}

// String names a rollout as an instant does.
func (r *Rollout) String() string { return fmt.Sprintf("rollout/%s#%d", r.DaemonSet, r.Revision) }

// changeCause is the annotation in which people say why.
const changeCause = "kubernetes.io/change-cause"

// rollouts folds a log into its rollouts. The zero one has seen nothing; it has to
// be told of every event from the beginning of the log on, or of the state there.
type rollouts struct {
	all     []*Rollout                // in the order in which they began
	sets    map[events.Key]*rolling   // of the DaemonSets that are there
	deletes map[events.Cause]*Rollout // for which a command deletes a pod, whose fact is to come
}

// rolling is a DaemonSet with its last rollout.
type rolling struct {
	*Rollout
	generation int64  // of the DaemonSet when it got the template
	digest     string // of the template
	created    bool   // the DaemonSet was created with the template
	progress
}

// begin is told of the state that the log begins with. Rollouts that began before
// are known, and are not told of.
func (r *rollouts) begin(s *projector.State) {
	r.sets = map[events.Key]*rolling{}
	for _, d := range s.DaemonSets() {
		was := &Rollout{DaemonSet: d.Key, UID: d.UID, Ending: RolledOut, Images: imagesOf(d.Object)}
		r.sets[d.Key] = &rolling{Rollout: was, generation: d.Object.Generation, digest: d.Digest}
	}
}

// take is told of an event, as it was folded, and of the state after it.
func (r *rollouts) take(s *projector.State, e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		r.deleted(e.Cause)
		switch b.Kind {
		case events.DaemonSet:
			if d := s.DaemonSet(b.Key); d != nil && d.Seq == e.Seq { // else nobody can read it
				r.daemonSet(d.Object, d.Digest, e)
			}
		case events.Pod:
			r.pod(s.Pod(b.Key), e)
		}
	case events.Gone:
		r.deleted(e.Cause)
		if b.Kind == events.DaemonSet {
			r.forget(b.Key, e)
		}
	case *events.Plan:
		if x := r.sets[b.Owner.Key]; x != nil && x.UID == b.Owner.UID {
			r.plan(x, Point{e.Seq, e.Stored}, b)
		}
	}
	for _, key := range s.Touched() {
		if x, d := r.sets[key], s.DaemonSet(key); x != nil && d != nil && x.Ending == "" {
			x.look(d.CurrentRevision(), d.Counts)
		}
	}
}

// deleted counts the pod that a command has deleted for a rollout.
func (r *rollouts) deleted(by events.Cause) {
	x := r.deletes[by]
	switch {
	case x == nil:
		return
	case x.Ending == "":
		x.Restarted++
	default:
		x.RestartedAfter++
	}
	delete(r.deletes, by)
}

// daemonSet takes a fact about a DaemonSet that is there.
func (r *rollouts) daemonSet(ds *appsv1.DaemonSet, digest string, e events.Event) {
	key := events.Key{Namespace: ds.Namespace, Name: ds.Name}
	var before []string
	x := r.sets[key]
	if x != nil && x.UID != ds.UID {
		r.forget(key, e) // it was made again
		x = nil
	}
	switch {
	case x == nil:
		x = &rolling{created: true}
		if r.sets == nil {
			r.sets = map[events.Key]*rolling{}
		}
		r.sets[key] = x
	case x.digest != digest:
		x.end(e, Superseded)
		before, x.created = x.Images, false
	default:
		if HasRolledOut(ds, x.generation) {
			x.end(e, RolledOut)
		}
		return
	}
	x.generation, x.digest, x.progress = ds.Generation, digest, progress{}
	x.Rollout = &Rollout{DaemonSet: key, UID: ds.UID, Who: e.Actor, Manager: e.Manager, Start: Point{e.Seq, e.Stored}, Before: before, Images: imagesOf(ds),
		Why: cmp.Or(ds.Annotations[changeCause], e.Change)}
	r.all = append(r.all, x.Rollout)
}

// imagesOf returns the images of a template's containers.
func imagesOf(ds *appsv1.DaemonSet) (images []string) {
	for _, c := range ds.Spec.Template.Spec.Containers {
		images = append(images, c.Image)
	}
	return images
}

// HasRolledOut reports whether the controller has said of a generation that it is
// rolled out.
func HasRolledOut(ds *appsv1.DaemonSet, generation int64) bool {
	return ds.Status.ObservedGeneration >= generation && slices.ContainsFunc(ds.Status.Conditions, func(c appsv1.DaemonSetCondition) bool {
		return c.Type == controller.ConditionProgressing && c.Status == corev1.ConditionTrue && c.Reason == controller.ReasonRolledOut
	})
}

// forget takes a DaemonSet that is gone off the list.
func (r *rollouts) forget(key events.Key, e events.Event) {
	if x := r.sets[key]; x != nil {
		x.end(e, Deleted)
		delete(r.sets, key)
	}
}

// end ends a rollout, unless it has ended.
func (r *Rollout) end(e events.Event, how Ending) {
	if r.Ending == "" {
		r.End, r.Ending = Point{e.Seq, e.Stored}, how
	}
}

// Rollouts returns the rollouts that the log tells of up to a position.
func (h *History) Rollouts(ctx context.Context, to events.Seq) ([]*Rollout, error) {
	return new(Course).upTo(ctx, h, to)
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
