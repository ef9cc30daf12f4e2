package page

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rollcall/controller/board"
	"rollcall/controller/grid"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// introduction is what a page is about.
type introduction struct {
	Cluster string    `json:"cluster"`
	Target  string    `json:"target"`
	Live    bool      `json:"live"`
	Writes  bool      `json:"writes"` // actions are done
	Inserts bool      `json:"inserts"`
	Beside  string    `json:"beside,omitempty"` // the recording beside
	Version string    `json:"version"`
	Scene   *Scene    `json:"scene,omitempty"`
	Epoch   time.Time `json:"epoch"` // that ages in cells count from
	Phases  []string  `json:"phases"`
	Causes  []string  `json:"causes"`
	Classes []string  `json:"classes"`
}

func info(_ http.ResponseWriter, q *query) (string, any, error) {
	c := q.page.Config
	x := introduction{Cluster: c.Cluster, Target: c.Target, Live: c.Live, Writes: c.Act != nil, Inserts: c.Insert != nil, Version: c.Version, Scene: c.Scene,
		Epoch: q.h.Span().From, Phases: grid.Phases, Causes: grid.Causes, Classes: classes}
	if c.Beside != nil {
		x.Beside = c.Beside.Name
	}
	return "Info", []introduction{x}, nil
}

// state is the state at an instant: in words, as rollcall state has it, its hash
// alone, or a DaemonSet on all nodes in four bytes each.
func state(w http.ResponseWriter, q *query) (string, any, error) {
	s, err := q.state(q.Context(), q.at.Seq)
	if err != nil {
		return "", nil, err
	}
	switch format := q.FormValue("format"); format {
	case "":
		p, err := replay.PictureOf(s)
		return "State", []*replay.Picture{p}, err
	case "hash":
		h, err := replay.StateHash(s)
		return "StateHash", []any{map[string]any{"seq": s.Seq(), "sha256": h}}, err
	case "bin":
		g := grid.New(q.index.nodes, q.key("ds"), q.h.Span().From)
		g.Set(s)
		writeBin(w, s, g.Cells())
		return "", nil, nil
	default:
		return "", nil, &events.Error{Code: "E-UI-VALUE", What: fmt.Sprintf("there is no format %q", format), Do: "give bin or hash, or leave it out", Exit: events.ExitInput}
	}
}

// writeBin writes cells, with where they are of and their hash beside them.
func writeBin(w http.ResponseWriter, s *projector.State, cells []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Rollcall-Seq", fmt.Sprint(uint64(s.Seq())))
	h.Set("Rollcall-Time", s.Time().UTC().Format(time.RFC3339Nano))
	h.Set("Rollcall-Cells", hashOf(cells))
	_, _ = w.Write(cells) // who does not want it any more has gone
}

func hashOf(cells []byte) string {
	sum := sha256.Sum256(cells)
	return hex.EncodeToString(sum[:])
}

// maxDeltas bounds the events in one answer of deltas.
const maxDeltas = 65536

// deltas are the cells before a position, and then each that an event has changed,
// up to another: number of cells, the cells, and for each change the position after
// the first, the place and the new cell, each number in four bytes, the low first.
func deltas(w http.ResponseWriter, q *query) (string, any, error) {
	from, err := q.moment("from")
	if err != nil {
		return "", nil, err
	}
	if from.Seq > q.at.Seq || q.at.Seq-from.Seq > maxDeltas {
		return "", nil, &events.Error{Code: "E-UI-VALUE", What: fmt.Sprintf("#%d to #%d cannot be given at once", from.Seq, q.at.Seq), Do: fmt.Sprintf("give at most %d events, forwards", maxDeltas), Exit: events.ExitInput}
	}
	g := grid.New(q.index.nodes, q.key("ds"), q.h.Span().From)
	s, err := q.h.At(q.Context(), from.Seq)
	if err != nil {
		return "", nil, err
	}
	g.Set(s)
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(g.Cells())/grid.CellBytes))
	out = append(out, g.Cells()...)
	err = q.h.Walk(q.Context(), from.Seq, q.at.Seq, replay.Visit{
		Before: func(s *projector.State, e events.Event) error {
			g.Before(s, e)
			return nil
		},
		After: func(s *projector.State, e events.Event) error {
			for _, i := range g.After(s, e) {
				out = binary.LittleEndian.AppendUint32(out, uint32(e.Seq-from.Seq))
				out = binary.LittleEndian.AppendUint32(out, uint32(i))
				out = append(out, g.Cells()[grid.CellBytes*i:][:grid.CellBytes]...)
			}
			return nil
		},
	})
	if err != nil {
		return "", nil, err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Rollcall-Seq", fmt.Sprint(uint64(q.at.Seq)))
	w.Header().Set("Rollcall-Cells", hashOf(g.Cells()))
	_, _ = w.Write(out) // who does not want it any more has gone
	return "", nil, nil
}

// nodeTable are the names of nodes by place, and by label the value that each has at
// the instant.
type nodeTable struct {
	Names  []string `json:"names"`
	Labels []label  `json:"labels"`
}

// label is a label of nodes, with its values and for each node which of these it
// has; -1: none.
type label struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
	Of     []int    `json:"of"`
}

// maxGroups bounds the values of a label by which nodes are grouped.
const maxGroups = 64

func nodes(_ http.ResponseWriter, q *query) (string, any, error) {
	s, err := q.state(q.Context(), q.at.Seq)
	if err != nil {
		return "", nil, err
	}
	x := nodeTable{Names: q.index.nodes.Names()[:q.index.nodes.Upto(q.at.Seq)], Labels: []label{}}
	byKey, value := map[string]*label{}, map[[2]string]int{}
	for i, name := range x.Names {
		n := s.Node(name)
		if n == nil {
			continue
		}
		for k, v := range n.Labels() {
			l := byKey[k]
			if l == nil {
				l = &label{Key: k, Of: slices.Repeat([]int{-1}, len(x.Names))}
				byKey[k] = l
			}
			if len(l.Values) > maxGroups {
				continue
			}
			at, known := value[[2]string{k, v}]
			if !known {
				at = len(l.Values)
				value[[2]string{k, v}], l.Values = at, append(l.Values, v)
			}
			l.Of[i] = at
		}
	}
	for _, l := range byKey {
		if len(l.Values) <= maxGroups {
			x.Labels = append(x.Labels, *l)
		}
	}
	slices.SortFunc(x.Labels, func(a, b label) int { return cmp.Compare(a.Key, b.Key) })
	return "Nodes", []nodeTable{x}, nil
}

// held is a hold that stands.
type held struct {
	ID     string    `json:"id"` // owner and name
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"`
}

// glance is what goes on at an instant.
type glance struct {
	Nodes      int               `json:"nodes"`
	NotReady   []string          `json:"notReady"`
	DaemonSets []*board.Standing `json:"daemonSets"`
	Paused     []string          `json:"paused"` // DaemonSets, as "logging/agent"
	Holds      []held            `json:"holds"`
	PerMinute  int               `json:"perMinute"` // events in the minute before
}

func overview(_ http.ResponseWriter, q *query) (string, any, error) {
	s, err := q.state(q.Context(), q.at.Seq)
	if err != nil {
		return "", nil, err
	}
	x := glance{NotReady: []string{}, DaemonSets: []*board.Standing{}, Paused: []string{}, Holds: []held{}}
	there := nodesOf(s)
	for _, name := range there.Names() {
		if x.Nodes++; !s.Node(name).Ready {
			x.NotReady = append(x.NotReady, name)
		}
	}
	for _, h := range s.Holds() {
		x.Holds = append(x.Holds, held{h.ID(), h.Reason, h.Until})
	}
	for _, d := range s.AllSets() {
		x.DaemonSets = append(x.DaemonSets, q.standing(s, d, there))
		if d.Object.Annotations[events.AnnotationPaused] == "true" {
			x.Paused = append(x.Paused, d.Key.String())
		}
	}
	before, err := q.minuteBefore()
	x.PerMinute = int(q.at.Seq - before)
	return "Overview", []glance{x}, err
}

// minuteBefore is the position a minute before the instant, or that before the first
// event.
func (q *query) minuteBefore() (events.Seq, error) {
	t := q.at.Time.Add(-time.Minute)
	if span := q.h.Span(); t.Before(span.From) {
		return span.First - 1, nil
	}
	at, err := replay.ParseInstant(t.UTC().Format(time.RFC3339Nano), time.Now())
	if err != nil {
		return 0, err
	}
	m, err := q.past.Moment(q.Context(), at, q.h.Span().Last)
	return m.Seq, err
}

// nodesOf are the nodes that are there, by name: in other places than those in which
// the log has told of them, and found without reading all of it.
func nodesOf(s *projector.State) *grid.Nodes {
	all := grid.NewNodes()
	for _, o := range s.List(events.Node, "") {
		if s.Node(o.Key.Name) != nil {
			all.See(o.Key.Name, 0)
		}
	}
	return all
}

func (q *query) standing(s *projector.State, d *sets.DaemonSet, there *grid.Nodes) *board.Standing {
	g := grid.New(there, d.Key, q.h.Span().From)
	g.Set(s)
	x := board.Stand(d, nil)
	x.Count(there.Names(), g.Cells())
	return x
}
