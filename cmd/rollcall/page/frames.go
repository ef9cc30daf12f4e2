package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	Writes  []string  `json:"writes"` // actions that are done
	Inserts bool      `json:"inserts"`
	Beside  string    `json:"beside,omitempty"` // the recording beside
	Version string    `json:"version"`
	Scene   *Scene    `json:"scene,omitempty"`
	Epoch   time.Time `json:"epoch"` // that ages in cells count from
	Phases  []string  `json:"phases"`
	Causes  []string  `json:"causes"`
	Classes []string  `json:"classes"`
}

func info(q *query) (string, any, error) {
	c := q.page.Config
	x := introduction{Cluster: c.Cluster, Target: c.Target, Live: c.Live, Writes: []string{}, Inserts: c.Insert != nil, Version: c.Version, Scene: c.Scene,
		Epoch: q.h.Span().From, Phases: grid.Phases, Causes: grid.Causes, Classes: classes}
	if c.Beside != nil {
		x.Beside = c.Beside.Name
	}
	if c.Act != nil {
		if err := q.hold(); err != nil {
			return "", nil, err
		}
		x.Writes = Actions(q.end.state.Charter())
	}
	return "Info", []introduction{x}, nil
}

// state is the state at an instant: in words, as rollcall state has it, its hash
// alone, or a DaemonSet on all nodes in four bytes each.
func state(q *query) (string, any, error) {
	s, err := q.state()
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
		of, err := q.daemonSet()
		if err == nil {
			cells := q.cellsOf(s, of)
			q.head.Set("Rollcall-Time", s.Time().UTC().Format(time.RFC3339Nano))
			q.bytes(s.Seq(), cells, cells)
		}
		return "", nil, err
	default:
		return "", nil, refused(fmt.Sprintf("there is no format %q", format), "give bin or hash, or leave it out")
	}
}

// bytes answers with bytes, from which who asked has cells at a position.
func (q *query) bytes(seq events.Seq, cells, body []byte) {
	q.head.Set("Content-Type", "application/octet-stream")
	q.head.Set("Rollcall-Seq", fmt.Sprint(uint64(seq)))
	q.head.Set("Rollcall-Cells", hashOf(cells))
	q.body = body
}

func hashOf(cells []byte) string {
	sum := sha256.Sum256(cells)
	return hex.EncodeToString(sum[:])
}

// maxDeltas bounds the events in one answer of deltas.
const maxDeltas = 65536

// cellsOf returns the cells of a DaemonSet in a state. Of one that pages follow they
// are there already.
func (q *query) cellsOf(s *projector.State, of events.Key) []byte {
	if t := q.end.tail; q.held && t != nil && s == q.end.state && t.grids[of] != nil {
		return bytes.Clone(t.grids[of].Cells())
	}
	g := grid.New(q.index.nodes, of, q.h.Span().From)
	g.Set(s)
	return g.Cells()
}

// whole returns as many cells as there are nodes at a position.
func (q *query) whole(cells []byte, seq events.Seq) []byte {
	return append(cells, make([]byte, max(0, grid.CellBytes*q.index.nodes.Upto(seq)-len(cells)))...)
}

// followed shows use what pages that follow a DaemonSet have been told of it, if it
// covers both positions; known says whether it does.
func (q *query) followed(of events.Key, from, to events.Seq, use func(*changes)) (known bool, err error) {
	if !q.page.Live {
		return false, nil
	}
	err = q.atTail(func(t *tail) {
		if g := t.grids[of]; g != nil && from >= g.from && to <= q.end.state.Seq() {
			known = true
			use(&g.changes)
		}
	})
	return known, err
}

// atTail shows use what pages that follow the log are shown, if any do. The end of the
// log is held meanwhile.
func (q *query) atTail(use func(*tail)) error {
	if err := q.hold(); err != nil {
		return err
	}
	defer q.letGo()
	if q.end.tail != nil {
		use(q.end.tail)
	}
	return nil
}

// deltas are the cells before a position, and then each that an event has changed,
// up to another: number of cells, the cells, and for each change the position after
// the first, the place and the new cell, each number in four bytes, the low first.
func deltas(q *query) (string, any, error) {
	from, err := q.moment("from")
	if err != nil {
		return "", nil, err
	}
	of, err := q.daemonSet()
	if err != nil {
		return "", nil, err
	}
	if from.Seq > q.at.Seq || q.at.Seq-from.Seq > maxDeltas {
		return "", nil, refused(fmt.Sprintf("#%d to #%d cannot be given at once", from.Seq, q.at.Seq), fmt.Sprintf("give at most %d events, forwards", maxDeltas))
	}
	var out, cells []byte
	give := func(c *changes) {
		out, cells = c.after(q.whole(c.at(from.Seq), from.Seq), from.Seq, q.at.Seq), q.whole(c.at(q.at.Seq), q.at.Seq)
	}
	q.now = false // what is asked about stands
	known, err := q.followed(of, from.Seq, q.at.Seq, give)
	if !known && err == nil {
		var c *changes
		if c, err = q.changes(of, from.Seq, q.at.Seq); err == nil {
			give(c)
		}
	}
	if err != nil {
		return "", nil, err
	}
	q.bytes(q.at.Seq, cells, out)
	return "", nil, nil
}

// changes folds what has changed of a DaemonSet from one position to another. Where
// pages follow it they go on with what was found: who asks again is told at once.
func (q *query) changes(of events.Key, from, to events.Seq) (*changes, error) {
	g := grid.New(q.index.nodes, of, q.h.Span().From)
	s, err := q.h.At(q.Context(), from)
	if err != nil {
		return nil, err
	}
	g.Set(s)
	c := &changes{from: from, cells: bytes.Clone(g.Cells())}
	err = q.h.Walk(q.Context(), from, to, replay.Visit{
		Before: func(s *projector.State, e events.Event) error {
			g.Before(s, e)
			return nil
		},
		After: func(s *projector.State, e events.Event) error {
			c.note(e.Seq, g.After(s, e), g.Cells())
			return nil
		},
	})
	if err != nil || !q.page.Live || len(c.list) > maxChanges/2 {
		return c, err
	}
	return c, q.atTail(func(t *tail) {
		if x := t.grids[of]; x != nil && from < x.from && x.from <= to {
			x.list = append(slices.Clone(c.list[:c.upto(x.from)]), x.list...)
			x.from, x.cells = from, c.cells
		}
	})
}

// nodeTable are the names of nodes by place, and by label the value that each has at
// the instant.
type nodeTable struct {
	Names  []string     `json:"names"`
	Labels []grid.Label `json:"labels"`
}

func nodes(q *query) (string, any, error) {
	s, err := q.state()
	if err != nil {
		return "", nil, err
	}
	x := nodeTable{Names: q.index.nodes.Names()[:q.index.nodes.Upto(q.at.Seq)]}
	labels := grid.NewLabels(len(x.Names))
	for i, name := range x.Names {
		if n := s.Node(name); n != nil {
			labels.See(i, n.Labels())
		}
	}
	x.Labels = labels.All()
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

func overview(q *query) (string, any, error) {
	s, err := q.state()
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

// maxLooked is over how many events an instant is looked for in one go: to open a log in
// its middle costs as much as to read them.
const maxLooked = 2000

// minuteBefore is the position a minute before the instant, or that before the first
// event. Of a clock that steps back it is one of several.
func (q *query) minuteBefore() (events.Seq, error) {
	t := q.at.Time.Add(-time.Minute)
	span := q.h.Span()
	if q.held {
		if i := q.end.upto(t); i > 0 && i < len(q.end.heard) {
			return q.end.heard[i].seq - 1, nil
		}
	}
	from, to := span.First-1, q.at.Seq // it is one of these, or between
	for to-from > maxLooked {
		mid := from + (to-from)/2
		e, err := q.h.Event(q.Context(), mid)
		if err != nil {
			return 0, err
		}
		if e.Stored.After(t) {
			to = mid
		} else {
			from = mid
		}
	}
	for e, err := range bare(q.Context(), q.past.Log, from) {
		if err != nil {
			return 0, err
		}
		if e.Stored.After(t) || e.Seq > to {
			break
		}
		from = e.Seq
	}
	return from, nil
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
