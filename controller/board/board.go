// Package board says how the DaemonSets of a log stand at an instant, and draws it
// as lines of text of a width and a number: for terminals, which have no page. What
// a mark is of a node is what the page has of it: a cell of controller/grid.
//
// It knows no terminal and no clock. A state and keys come in, lines go out.
package board

import (
	"slices"
	"strings"
	"time"

	"rollcall/controller/grid"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
	"rollcall/projector/story"
)

// Board is how the DaemonSets of a log stand at an instant.
type Board struct {
	Seq      events.Seq
	Time     time.Time
	Nodes    []string // in the order of their names
	NotReady int
	Sets     []*Standing
	Labels   []grid.Label // of the nodes, by which they can be grouped
}

// Standing is how a DaemonSet stands.
type Standing struct {
	DaemonSet string              `json:"daemonSet"` // "ds/logging/agent"
	Deleted   bool                `json:"deleted,omitempty"`
	Images    []string            `json:"images,omitempty"`
	Revision  int64               `json:"revision,omitempty"`
	Counts    sets.Counts         `json:"counts"`
	Line      string              `json:"line"`              // on one line
	Stalled   string              `json:"stalled,omitempty"` // why it does not go on
	Waits     string              `json:"waits,omitempty"`   // what does not pass by itself
	Causes    map[string]int      `json:"causes"`            // why nodes have no available pod: they sum up to desired - available
	Names     map[string][]string `json:"names"`             // of some of these nodes
	Held      []events.Held       `json:"held,omitempty"`
	Round     *Round              `json:"rollout,omitempty"` // its last rollout, if its begin is known

	key   events.Key
	cells []byte // by the place of the node
}

// maxNamed bounds the nodes that are named of one cause.
const maxNamed = 20

// Stand says how a DaemonSet stands, but for its nodes, which Count adds. The plan is
// its last one; nil: it is not known.
func Stand(d *sets.DaemonSet, plan *events.Plan) *Standing {
	x := &Standing{DaemonSet: story.Name(d.Ref()), Deleted: d.Deleted, Counts: d.Counts, Causes: map[string]int{}, Names: map[string][]string{}, Held: d.Held,
		Line: story.RolloutLine(d.Object, plan), Stalled: story.Stalled(d.Object), Waits: story.RolloutCause(d.Object), key: d.Key}
	for _, c := range d.Object.Spec.Template.Spec.Containers {
		x.Images = append(x.Images, c.Image)
	}
	if r := d.CurrentRevision(); r != nil {
		x.Revision = r.Number
	}
	return x
}

// Count takes the cells of nodes with these names.
func (x *Standing) Count(names []string, cells []byte) {
	x.cells = cells
	for i := 0; i < len(cells); i += grid.CellBytes {
		c := cells[i] >> 4
		if c == 0 {
			continue
		}
		why := grid.Causes[c]
		x.Causes[why]++
		if len(x.Names[why]) < maxNamed {
			x.Names[why] = append(x.Names[why], names[i/grid.CellBytes])
		}
	}
}

// part is how many cells are made while a state is read at once: others wait for
// whoever reads it.
const part = 1000

// Reader lets do read a state, which does not change meanwhile.
type Reader func(do func(*projector.State))

// Look looks at a state again and again. The zero one is told of events by Follow.
type Look struct {
	rounds map[events.Key]*Round
	plans  map[events.Key]*events.Plan
}

// NewLook returns a look that knows of no event.
func NewLook() *Look {
	return &Look{rounds: map[events.Key]*Round{}, plans: map[events.Key]*events.Plan{}}
}

// Follow tells of an event: of what is not in a state, when a rollout began and what
// its last plan was.
func (l *Look) Follow(e events.Event) {
	switch b := e.Body.(type) {
	case *events.Plan:
		if b.Owner.Kind == events.DaemonSet { // else it is of the garbage collector
			l.plans[b.Owner.Key] = b
		}
	case events.Object:
		if b.Kind == events.DaemonSet {
			l.round(b, Point{Seq: e.Seq, Time: e.Stored})
		}
	case events.Gone:
		if b.Kind == events.DaemonSet {
			delete(l.rounds, b.Key)
			delete(l.plans, b.Key)
		}
	}
}

// Heads says how DaemonSets stand, without their nodes: quickly, since nobody else
// may touch the look and the state meanwhile.
func (l *Look) Heads(s *projector.State) *Board {
	b := &Board{Seq: s.Seq(), Time: s.Time(), Nodes: make([]string, 0, s.NodeCount())}
	for n := range s.Nodes() {
		b.Nodes = append(b.Nodes, n.Name)
		if !n.Ready {
			b.NotReady++
		}
	}
	for _, d := range s.DaemonSets() {
		x := Stand(d, l.plans[d.Key])
		if r := l.rounds[d.Key]; r != nil && r.uid == d.UID {
			at := *r
			x.Round = &at
		}
		b.Sets = append(b.Sets, x)
	}
	return b
}

// Fill adds the nodes, and reads the state in parts: what changes between two of them
// is seen in the later one. How long rollouts take is told as of now. Labels are read
// if somebody can ask for groups.
func (b *Board) Fill(read Reader, now time.Time, labelled bool) {
	nodes := grid.NewNodes()
	for _, name := range b.Nodes {
		nodes.See(name, 0)
	}
	if labelled {
		b.label(read)
	}
	for _, x := range b.Sets {
		g := grid.New(nodes, x.key, time.Time{})
		for from, more := 0, true; more; from += part {
			read(func(s *projector.State) { more = g.Part(s, from, part) })
		}
		x.Count(b.Nodes, g.Cells())
		x.Round.reckon(x, now)
	}
}

// label reads the labels of the nodes.
func (b *Board) label(read Reader) {
	labels := grid.NewLabels(len(b.Nodes))
	for from := 0; from < len(b.Nodes); from += part {
		read(func(s *projector.State) {
			for i, name := range b.Nodes[from:min(from+part, len(b.Nodes))] {
				if n := s.Node(name); n != nil {
					labels.See(from+i, n.Labels())
				}
			}
		})
	}
	for _, l := range labels.All() {
		if len(l.Values) > 1 || slices.Contains(l.Of, -1) { // else all are one group
			b.Labels = append(b.Labels, l)
		}
	}
}

// Label returns the label of nodes with a key, or whose key ends with it after a
// slash; nil: by none of it nodes fall into groups.
func (b *Board) Label(key string) *grid.Label {
	for i, l := range b.Labels {
		if l.Key == key || key != "" && strings.HasSuffix(l.Key, "/"+key) {
			return &b.Labels[i]
		}
	}
	return nil
}
