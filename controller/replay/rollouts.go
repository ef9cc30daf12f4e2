package replay

import (
	"context"
	"fmt"
	"math"
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

	Start  Point  `json:"start,omitzero"` // zero: it is before the log begins
	End    Point  `json:"end,omitzero"`   // zero: it is under way
	Ending Ending `json:"ending,omitempty"`

	Nodes           int     `json:"nodes"`                    // that should run a pod, at the end or as far as the log goes
	Waves           []*Wave `json:"waves,omitempty"`          // in their order
	Restarted       int     `json:"restarted"`                // pods that were deleted for it; in a record those of before that ended meanwhile
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
// take what see tells of every event from the beginning of the log on, or to begin
// with the state there.
type rollouts struct {
	all     []*Rollout                // in the order in which they began
	earlier []*Rollout                // that were under way where the log begins
	sets    map[events.Key]*rolling   // of the DaemonSets that are there
	deletes map[events.Cause]*Rollout // for which a command deletes a pod, whose fact is to come
}

// rolling is a DaemonSet with its last rollout.
type rolling struct {
	*Rollout
	generation int64  // of the DaemonSet when it got the template
	digest     string // of the template
	created    bool   // the DaemonSet was created with the template
	listed     int    // a record begins with it, and has still to tell of so many available pods
	progress
}

// begin is told of the state that the log begins with. Rollouts that were over there
// are not told of. Of those that were under way nobody knows when and with whom they
// began, and what they did before.
func (r *rollouts) begin(s *projector.State) {
	r.sets = map[events.Key]*rolling{}
	for _, d := range s.DaemonSets() {
		was := &Rollout{DaemonSet: d.Key, UID: d.UID, Images: imagesOf(d.Object), Why: d.Object.Annotations[changeCause]}
		r.sets[d.Key] = &rolling{Rollout: was, generation: d.Object.Generation, digest: d.Digest}
		if d.Deleted || HasRolledOut(d.Object, d.Object.Generation) {
			was.Ending = RolledOut
			continue
		}
		was.look(standing(d))
		r.earlier = append(r.earlier, was)
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

// ending counts a pod of before that ends while its DaemonSet is rolled out by somebody else.
func (r *rollouts) ending(p *seenEnding) {
	x := r.sets[p.owner.Key]
	if x == nil || x.UID != p.owner.UID || x.Ending != "" || x.Hash == "" || x.Hash == p.revision || x.ended[p.uid] {
		return
	}
	if x.ended == nil {
		x.ended = map[types.UID]bool{}
	}
	x.ended[p.uid] = true
	x.Restarted++
}

// daemonSet takes a fact about a DaemonSet that is there.
func (r *rollouts) daemonSet(ds *seenSet) {
	var before []string
	x := r.sets[ds.key]
	if x != nil && x.UID != ds.uid {
		r.forget(ds.key, ds.Point) // it was made again
		x = nil
	}
	switch {
	case x == nil:
		x = &rolling{created: true, listed: ds.available}
		if r.sets == nil {
			r.sets = map[events.Key]*rolling{}
		}
		r.sets[ds.key] = x
	case x.digest != ds.digest:
		x.end(ds.Point, Superseded)
		before, x.created, x.listed = x.Images, false, 0
	default:
		x.listed = 0
		if ds.rolledOut >= x.generation {
			x.end(ds.Point, RolledOut)
		}
		return
	}
	x.generation, x.digest, x.progress = ds.generation, ds.digest, progress{}
	x.Rollout = &Rollout{DaemonSet: ds.key, UID: ds.uid, Who: ds.who, Manager: ds.manager, Start: ds.Point, Before: before, Images: ds.images, Why: ds.why}
	if x.created && ds.rolledOut >= ds.generation { // it was when it was first told of, in a record
		x.Ending = RolledOut
		return
	}
	r.all = append(r.all, x.Rollout)
}

// imagesOf returns the images of a template's containers.
func imagesOf(ds *appsv1.DaemonSet) (images []string) {
	for _, c := range ds.Spec.Template.Spec.Containers {
		images = append(images, c.Image)
	}
	return images
}

// HasRolledOut reports whether a controller has said of a generation that it is rolled
// out.
func HasRolledOut(ds *appsv1.DaemonSet, generation int64) bool { return rolledOut(ds) >= generation }

// rolledOut returns the last generation that is said to be rolled out: by rollcall in a
// condition, by the controller of another cluster, which has none such, in its counts, as
// kubectl rollout status reads them; the least number: of none.
func rolledOut(ds *appsv1.DaemonSet) int64 {
	st := &ds.Status
	i := slices.IndexFunc(st.Conditions, func(c appsv1.DaemonSetCondition) bool { return c.Type == controller.ConditionProgressing })
	switch {
	case i >= 0 && (st.Conditions[i].Status != corev1.ConditionTrue || st.Conditions[i].Reason != controller.ReasonRolledOut),
		i < 0 && min(st.UpdatedNumberScheduled, st.NumberAvailable) < st.DesiredNumberScheduled:
		return math.MinInt64
	}
	return st.ObservedGeneration
}

// forget takes a DaemonSet that is gone off the list.
func (r *rollouts) forget(key events.Key, at Point) {
	if x := r.sets[key]; x != nil {
		x.end(at, Deleted)
		delete(r.sets, key)
	}
}

// end ends a rollout, unless it has ended.
func (r *Rollout) end(at Point, how Ending) {
	if r.Ending == "" {
		r.End, r.Ending = at, how
	}
}

// Rollouts returns the rollouts that began in the log, up to a position.
func (h *History) Rollouts(ctx context.Context, to events.Seq) ([]*Rollout, error) {
	return new(Course).upTo(ctx, h, to)
}

// AllRollouts returns those that were under way where the log begins as well, as
// the first of all. They have no Start, and what is counted is so from there on.
func (h *History) AllRollouts(ctx context.Context, to events.Seq) ([]*Rollout, error) {
	var c Course
	all, err := c.upTo(ctx, h, to)
	return slices.Concat(c.earlier, all), err
}

// RolloutsOf returns the rollouts that began in a log, in the order in which they did.
func RolloutsOf(ctx context.Context, log events.Reader) ([]*Rollout, error) {
	r, err := rolloutsOf(ctx, log)
	return r.all, err
}

func rolloutsOf(ctx context.Context, log events.Reader) (r rollouts, err error) {
	s, err := Begin(ctx, log)
	if err != nil {
		return r, err
	}
	r.begin(s)
	for e, err := range log.Read(ctx, s.Seq()) {
		if err != nil {
			return r, fmt.Errorf("fold: %w", err)
		}
		e = projector.Fold(s, e)
		see(s, e, r.take)
	}
	return r, nil
}
