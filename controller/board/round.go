package board

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller/grid"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/daemonpod"
)

// Point is a position of a log, and when the event there was stored.
type Point = replay.Point

// Round is the last rollout of a DaemonSet, in time.
type Round struct {
	Start   Point         `json:"start"`
	End     Point         `json:"end,omitzero"` // zero: it is under way
	Elapsed time.Duration `json:"elapsedNs"`
	Left    time.Duration `json:"leftNs,omitempty"` // at the pace of until now; zero: it cannot be said

	uid        types.UID
	generation int64 // of the DaemonSet when it got the template
	digest     string
}

// round takes a fact about a DaemonSet that is there.
func (l *Look) round(o events.Object, at Point) {
	var ds appsv1.DaemonSet
	if o.Decode(&ds) != nil {
		return // the state does not have it either
	}
	r := l.rounds[o.Key]
	switch {
	case r == nil || r.uid != ds.UID:
		l.rounds[o.Key] = &Round{Start: at, uid: ds.UID, generation: ds.Generation, digest: daemonpod.Digest(&ds.Spec.Template)}
		return
	case ds.Generation != r.generation:
		if digest := daemonpod.Digest(&ds.Spec.Template); digest != r.digest {
			*r = Round{Start: at, uid: ds.UID, generation: ds.Generation, digest: digest}
			return
		}
	}
	if r.End.Seq == 0 && replay.HasRolledOut(&ds, r.generation) {
		r.End = at
	}
}

// reckon says how long the rollout has taken, and how long it will take if it goes
// on as it did.
func (r *Round) reckon(x *Standing, now time.Time) {
	if r == nil {
		return
	}
	if r.End.Seq > 0 {
		r.Elapsed = r.End.Time.Sub(r.Start.Time)
		return
	}
	r.Elapsed = max(0, now.Sub(r.Start.Time))
	done := x.phases()[grid.Updated]
	if left := x.Counts.Desired - done; done > 0 && left > 0 && x.Stalled == "" {
		r.Left = time.Duration(float64(r.Elapsed) / float64(done) * float64(left))
	}
}

// phases counts the nodes of each phase.
func (x *Standing) phases() (n [16]int) {
	for i := 0; i < len(x.cells); i += grid.CellBytes {
		n[x.cells[i]&15]++
	}
	return n
}
