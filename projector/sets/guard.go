package sets

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/wire"
)

// In a real cluster somebody else may change pods as they are made, or delete them,
// so that what is made is never what is wanted. What follows is remembered there so
// that nothing is made again and again without end.

// Guard is what a DaemonSet remembers of the pods that were made for it.
type Guard struct {
	Revision string    `json:"revision,omitempty"` // that they were made of
	Made     int       `json:"made,omitempty"`     // since From, none of which was ready and new since
	From     time.Time `json:"from,omitzero"`
	At       time.Time `json:"at,omitzero"` // the last of them

	Altered   string    `json:"altered,omitempty"`   // what of the last pod was not as it was made
	AlteredOf string    `json:"alteredOf,omitempty"` // the revision of that
	AlteredAt time.Time `json:"alteredAt,omitzero"`
}

// Rolled is what a cell remembers of the pods that a rollout has taken from it.
type Rolled struct {
	To    string    `json:"to,omitempty"` // the revision of the rollout
	Times int       `json:"times,omitempty"`
	At    time.Time `json:"at,omitzero"` // the last of them
}

// Bounds of what is no loop. One rollout takes one old pod from a node.
const (
	maxRolled  = 3 // pods that one rollout takes from a node
	rolledIn   = 10 * time.Minute
	maxMade    = 2 // pods of one revision a node, none of which is ready and new
	madeIn     = 10 * time.Minute
	guardPause = 15 * time.Minute // before one more is tried
)

// makes counts a pod that is made in a cell. Where pods fail the cell waits for
// longer each time, which is no loop.
func (d *DaemonSet) makes(c *Cell, revision string, at time.Time) {
	g := &d.Guard
	if !d.chartered || c.Failures > 0 {
		return
	}
	if g.Revision != revision || at.Sub(g.From) > madeIn && !d.overmade() {
		g.Revision, g.Made, g.From = revision, 0, at
	}
	g.Made++
	g.At = at
}

func (d *DaemonSet) overmade() bool { return d.Guard.Made > maxMade*max(1, d.Counts.Desired) }

// rolls counts a pod that a rollout takes from a cell.
func (d *DaemonSet) rolls(c *Cell, p *events.Plan) {
	if !d.chartered {
		return
	}
	r := &c.Rolled
	if r.To != p.Revision || p.Basis.Now.Sub(r.At) > rolledIn && r.Times < maxRolled {
		*r = Rolled{To: p.Revision}
	}
	r.Times++
	r.At = p.Basis.Now
}

// spares uncounts a pod that a rollout to a revision has not taken after all.
func (c *Cell) spares(revision string) {
	if revision != "" && c.Rolled.To == revision && c.Rolled.Times > 0 {
		c.Rolled.Times--
	}
}

// LoopUntil returns until when no pod of a revision is made, because those that were
// are never ready and new; zero: nothing speaks against it.
func (d *DaemonSet) LoopUntil(revision string) time.Time {
	if d.Guard.Revision != revision || !d.overmade() {
		return time.Time{}
	}
	return d.Guard.At.Add(guardPause)
}

// AlteredUntil returns until when no pod of a revision is made, because the last that
// was came back as another; zero: it did not.
func (d *DaemonSet) AlteredUntil(revision string) time.Time {
	if d.Guard.Altered == "" || d.Guard.AlteredOf != revision {
		return time.Time{}
	}
	return d.Guard.AlteredAt.Add(guardPause)
}

// LoopUntil returns until when a rollout to a revision takes no more pods from the
// cell, because it has done so too often; zero: it has not.
func (c *Cell) LoopUntil(revision string) time.Time {
	if c.Rolled.To != revision || c.Rolled.Times < maxRolled {
		return time.Time{}
	}
	return c.Rolled.At.Add(guardPause)
}

// compare notes what of a pod that answers a create is not as it was made, if it does
// not count for its cell so.
func (s *Sets) compare(p *Pod, ref pendingRef) {
	d := ref.ds
	if !d.chartered {
		return
	}
	what := ""
	switch {
	case p.OwnerUID != d.UID:
		what = "its owner"
	case p.Node != ref.cell.Node:
		what = "the node that it is made for"
	case p.Revision != ref.revision && d.Current(ref.revision) && !d.IsNew(&p.PodView):
		what = "its label controller-revision-hash"
	}
	g := &d.Guard
	if g.Altered, g.AlteredOf, g.AlteredAt = what, ref.revision, s.now; what == "" {
		g.AlteredOf, g.AlteredAt = "", time.Time{}
	}
}

// unknown returns the first field of the template that this version does not know.
// What Kubernetes has dropped in a template, and what nobody has set, is not there.
func (d *DaemonSet) unknown() string {
	if !d.chartered {
		return ""
	}
	fields, err := wire.Unknown(wire.Field(d.raw.spec, "template"), &corev1.PodTemplateSpec{})
	if err != nil || len(fields) == 0 {
		return ""
	}
	return slices.Min(fields)
}
