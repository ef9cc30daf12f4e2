package play

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Outcome is what becomes of a DaemonSet that is written.
type Outcome struct {
	DaemonSet events.Key `json:"daemonSet"`
	Created   bool       `json:"created,omitempty"`
	Was       []string   `json:"imagesBefore,omitempty"`
	Images    []string   `json:"images"`
	From      int64      `json:"revisionBefore,omitempty"`
	Revision  int64      `json:"revision"`
	Hash      string     `json:"hash"` // of the revision, in the label of its pods

	Nodes     int      `json:"nodes"`               // that should run a pod
	Unchanged []string `json:"unchanged,omitempty"` // had a pod of this template before
	Updated   []string `json:"updated,omitempty"`   // get one
	Evicted   []string `json:"evicted,omitempty"`   // lose theirs
	Skipped   []Group  `json:"skipped,omitempty"`   // are not meant to have one
	Blocked   []Group  `json:"blocked,omitempty"`   // do not get one
	Holds     []Hold   `json:"holds,omitempty"`     // that stand when it is written

	Waves           []Wave         `json:"waves,omitempty"`
	PeakUnavailable int            `json:"peakUnavailable"`
	MaxUnavailable  int            `json:"maxUnavailable,omitempty"` // the greatest that a plan was decided with, resolved
	MaxSurge        int            `json:"maxSurge,omitempty"`
	Took            *time.Duration `json:"nanoseconds"` // nil: it does not end

	spec string // digest of what the DaemonSet says before it is written; empty: it is not there
}

// Wave is one plan that puts a template on nodes.
type Wave struct {
	After time.Duration `json:"afterNanoseconds"` // from the write
	Nodes []string      `json:"nodes"`
}

// Group are nodes that one rule keeps as they are.
type Group struct {
	Rule     controller.Rule `json:"rule"`
	Says     string          `json:"says,omitempty"`
	NotReady bool            `json:"notReady,omitempty"` // the nodes are not Ready
	Nodes    []string        `json:"nodes"`
}

// Hold is a hold that keeps a rollout from its first step, on some nodes or all.
type Hold struct {
	ID     string    `json:"id"` // owner and name
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until"`
	Nodes  []string  `json:"nodes,omitempty"` // that should run a pod; empty: all
}

// holdsOf returns the holds on a DaemonSet that stand at a time, by owner and name.
func holdsOf(s *projector.State, d *sets.DaemonSet, now time.Time) (hs []Hold) {
	for _, h := range s.Holds() {
		if !h.Stands(now) || !h.Of(d) {
			continue
		}
		x := Hold{ID: h.ID(), Reason: h.Reason, Until: h.Until}
		for n := range s.Nodes() {
			if c := d.Cell(sets.CellKey{Node: n.Name, NodeUID: n.UID}); h.OfNodes() && c != nil && c.Place == sets.Run && h.On(n.NodeView) {
				x.Nodes = append(x.Nodes, n.Name)
			}
		}
		if !h.OfNodes() || x.Nodes != nil {
			hs = append(hs, x)
		}
	}
	return hs
}

// RuleNotAvailable is that of a node whose new pod does not become available.
const RuleNotAvailable controller.Rule = "notAvailable"

// chosen are the rules by which the DaemonSet itself leaves nodes out.
var chosen = []controller.Rule{controller.RuleNodeName, controller.RuleLabels, controller.RuleTaint, controller.RuleSuspended, controller.RuleOnDelete,
	controller.Rule(events.HeldCanary), controller.Rule(events.HeldPartition)}

// tally follows one DaemonSet through a model.
type tally struct {
	Outcome
	start      time.Time
	before     map[string]types.UID // its pods, by node
	generation int64                // from when it is written
	digest     string               // of its template before
}

// newTally returns the tally of an intent that is written next.
func newTally(c *Cluster, i Intent) *tally {
	t := &tally{Outcome: Outcome{DaemonSet: i.After.Key, Created: i.New()}, start: c.now, before: map[string]types.UID{}}
	d := c.State.DaemonSet(i.After.Key)
	if d == nil {
		return t
	}
	t.Was, t.digest, t.spec = images(&d.Spec.Template.Spec), d.Digest, wishOf(d)
	if r := d.CurrentRevision(); r != nil {
		t.From = r.Number
	}
	for p := range c.State.PodsOf(d.Key.Namespace, d.UID) {
		if !p.Deleting {
			t.before[p.Node] = p.UID
		}
	}
	return t
}

// wishOf returns a digest of what a DaemonSet tells the controller.
func wishOf(d *sets.DaemonSet) string {
	data, _ := json.Marshal([]any{d.Object.Spec, d.Settings}) // they came out of a log
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// take is told of an event of the model, as it was folded, and of the state after.
func (t *tally) take(s *projector.State, e events.Event) {
	d := s.DaemonSet(t.DaemonSet)
	if d == nil {
		return
	}
	if t.generation == 0 {
		t.generation = d.Object.Generation
		t.Holds = holdsOf(s, d, e.Stored)
	}
	if p, ok := e.Body.(*events.Plan); ok && p.Owner.Key == t.DaemonSet {
		t.MaxUnavailable, t.MaxSurge = max(t.MaxUnavailable, p.Rollout.MaxUnavailable), max(t.MaxSurge, p.Rollout.MaxSurge)
		if nodes := replay.WaveOf(p, t.Created); len(nodes) > 0 {
			t.Waves = append(t.Waves, Wave{e.Stored.Sub(t.start), nodes})
		}
	}
	if n := d.Counts; t.Took == nil {
		t.PeakUnavailable = max(t.PeakUnavailable, n.Desired-n.Available)
	}
	if t.Took == nil && d.Seq == e.Seq && replay.HasRolledOut(d.Object, t.generation) {
		took := e.Stored.Sub(t.start)
		t.Took = &took
	}
}

// finish says how every node stands in the end.
func (t *tally) finish(c *Cluster) *Outcome {
	d := c.State.DaemonSet(t.DaemonSet)
	if d == nil {
		return &t.Outcome
	}
	t.Images, t.Nodes = images(&d.Spec.Template.Spec), d.Counts.Desired
	if r := d.CurrentRevision(); r != nil {
		t.Revision, t.Hash = r.Number, r.Hash
	}
	_, trace := controller.Explain(c.State, t.DaemonSet, c.now)
	for n := range c.State.Nodes() {
		t.node(d, n, trace, c.now)
	}
	return &t.Outcome
}

// node says how a node stands in the end.
func (t *tally) node(d *sets.DaemonSet, n *sets.Node, trace *controller.Trace, now time.Time) {
	had, was := t.before[n.Name]
	cell := d.Cell(sets.CellKey{Node: n.Name, NodeUID: n.UID})
	var pods []*sets.Pod
	if cell != nil {
		pods = d.Survey(cell, nil).New
	}
	switch {
	case cell != nil && cell.Place == sets.Run && len(pods) > 0 && available(d, pods[0], now):
		if was && pods[0].UID == had {
			t.Unchanged = append(t.Unchanged, n.Name)
		} else {
			t.Updated = append(t.Updated, n.Name)
		}
		return
	case was && (cell == nil || len(cell.Pods) == 0 && cell.Place != sets.Run):
		t.Evicted = append(t.Evicted, n.Name)
		return
	}
	g := Group{Rule: RuleNotAvailable, NotReady: !n.Ready}
	for _, b := range trace.Blockers {
		if b.Node == n.Name || b.Node == "" {
			g.Rule, g.Says = b.Rule, b.Says
			break
		}
	}
	to := &t.Blocked
	if slices.Contains(chosen, g.Rule) {
		to, g.NotReady = &t.Skipped, false
	}
	i := slices.IndexFunc(*to, func(x Group) bool { return x.Rule == g.Rule && x.Says == g.Says && x.NotReady == g.NotReady })
	if i < 0 {
		i = len(*to)
		*to = append(*to, g)
	}
	(*to)[i].Nodes = append((*to)[i].Nodes, n.Name)
}

func available(d *sets.DaemonSet, p *sets.Pod, now time.Time) bool {
	from := d.AvailableFrom(p)
	return !from.IsZero() && !from.After(now)
}
