package replay

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector/sets"
)

// Wave is one plan of a rollout that puts its template on nodes.
type Wave struct {
	Point                     // of the plan
	Nodes           []string  `json:"nodes"`           // that it takes, in the order of its commands
	Done            Point     `json:"done,omitzero"`   // when the last of them had a ready pod of the template; zero: not all have had one
	PeakUnavailable int       `json:"peakUnavailable"` // of the whole rollout, from this wave to the next or to the end
	Failures        int       `json:"failures"`        // pods of the template that failed or could not start on these nodes
	Ready           []Reached `json:"ready,omitempty"` // in the order in which its nodes got there

	left int // nodes that have had no ready pod of the template
}

// Reached says how long a node took from the plan of its wave to a ready pod of
// the template.
type Reached struct {
	Node string        `json:"node"`
	Took time.Duration `json:"nanoseconds"`
}

// Limits are what a rollout was decided with. A DaemonSet that surges has no other
// limit than maxSurge.
type Limits struct {
	MaxUnavailable int `json:"maxUnavailable,omitempty"` // the greatest that a plan was decided with, resolved
	MaxSurge       int `json:"maxSurge,omitempty"`
	PeakUsed       int `json:"peakUsed,omitempty"` // the most that was unavailable, or surging, with what a plan took then
}

// progress is what a rollout under way has to be remembered by.
type progress struct {
	nodes  map[string]*taken
	failed map[types.UID]bool
	ended  map[types.UID]bool // pods of before, in a record
}

// taken is a node that waves of a rollout have taken: more than one, if the pod
// there had to be made again.
type taken struct {
	waves []*Wave
	ready bool // it has had a ready pod of the template
}

// look notes how the DaemonSet stands while its rollout is under way.
func (r *Rollout) look(now *seenCounts) {
	if now.known {
		r.Revision, r.Hash = now.revision, now.hash
	}
	r.Nodes = now.desired
	without := now.desired - now.available
	r.PeakUnavailable = max(r.PeakUnavailable, without)
	if n := len(r.Waves); n > 0 {
		r.Waves[n-1].PeakUnavailable = max(r.Waves[n-1].PeakUnavailable, without)
	}
}

// WaveOf returns the nodes that a plan puts the template on: those that run
// another or, of a new DaemonSet, none.
func WaveOf(p *events.Plan, created bool) (nodes []string) {
	for _, c := range p.Commands {
		if c.Reason == events.Rollout || c.Reason == events.Surge || created && c.Do == events.CreatePod {
			nodes = append(nodes, c.Node)
		}
	}
	return nodes
}

// plan takes a plan of a DaemonSet. It is a wave if it takes nodes.
func (r *rollouts) plan(x *rolling, at Point, p *events.Plan) {
	nodes := WaveOf(p, x.created)
	for i, c := range p.Commands {
		if c.Do == events.DeletePod && (c.Reason == events.Rollout || c.Reason == events.SurgeDone) {
			if r.deletes == nil {
				r.deletes = map[events.Cause]*Rollout{}
			}
			r.deletes[events.Cause{Seq: at.Seq, Index: i}] = x.Rollout
		}
	}
	if x.Ending != "" || len(nodes) == 0 {
		return
	}
	b := p.Rollout
	l := &x.Limits
	l.MaxUnavailable, l.MaxSurge = max(l.MaxUnavailable, b.MaxUnavailable), max(l.MaxSurge, b.MaxSurge)
	switch {
	case b.Taken > 0 && b.MaxSurge == 0:
		l.PeakUsed = max(l.PeakUsed, b.Unavailable+b.Taken)
	case b.Added > 0:
		l.PeakUsed = max(l.PeakUsed, b.Surging+b.Added)
	}
	x.begin(at, nodes)
}

// begin begins a wave.
func (x *rolling) begin(at Point, nodes []string) {
	w := &Wave{Point: at, Nodes: nodes, left: len(nodes)}
	if x.nodes == nil {
		x.nodes = map[string]*taken{}
	}
	for _, n := range nodes {
		if x.nodes[n] == nil {
			x.nodes[n] = &taken{}
		}
		x.nodes[n].ready = false
		x.nodes[n].waves = append(x.nodes[n].waves, w)
	}
	x.Waves = append(x.Waves, w)
}

// pod takes a fact about a pod: it may be the first ready one of the template on
// its node, or one that fails.
func (r *rollouts) pod(p *seenPod) {
	x := r.sets[p.owner.Key]
	if x == nil || x.UID != p.owner.UID || x.Ending != "" || p.revision != x.Hash {
		return
	}
	n := x.nodes[p.node]
	if p.ready {
		n.reach(p.node, p.Point)
		return
	}
	if x.failed[p.uid] {
		return
	}
	if x.failed == nil {
		x.failed = map[types.UID]bool{}
	}
	x.failed[p.uid] = true
	if x.Failures++; n != nil {
		n.waves[len(n.waves)-1].Failures++
	}
}

// failureOf says why a pod cannot get ready; empty: it may.
func failureOf(p *sets.Pod) string {
	if p.Phase == corev1.PodFailed {
		return "Failed"
	}
	return p.Trouble().Reason
}

// reach notes that a node has a ready pod of the template.
func (n *taken) reach(node string, at Point) {
	if n == nil || n.ready {
		return
	}
	n.ready = true
	for _, w := range n.waves {
		if !w.Done.Time.IsZero() || slices.ContainsFunc(w.Ready, func(r Reached) bool { return r.Node == node }) {
			continue
		}
		w.Ready = append(w.Ready, Reached{node, at.Time.Sub(w.Time)})
		if w.left--; w.left == 0 {
			w.Done = at
		}
	}
}

// maxSlow is how many of the slowest nodes are told of.
const maxSlow = 3

// Slowest returns the nodes that took longest to a ready pod of the template.
func (r *Rollout) Slowest() []Reached {
	var all []Reached
	for _, w := range r.Waves {
		all = append(all, w.Ready...)
	}
	slices.SortStableFunc(all, func(a, b Reached) int { return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Node, b.Node)) })
	seen := map[string]bool{}
	all = slices.DeleteFunc(all, func(x Reached) bool {
		again := seen[x.Node]
		seen[x.Node] = true
		return again
	})
	return all[:min(len(all), maxSlow)]
}
