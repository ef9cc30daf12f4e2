package page

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"rollcall/controller/grid"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// maxTaken bounds the events that are folded before somebody else has a turn.
const maxTaken = 256

// tail is the end of a log while pages follow it: the grids that they look at, and
// what was told of them.
type tail struct {
	log   events.Reader
	from  events.Seq
	nodes *grid.Nodes
	epoch time.Time
	grids map[events.Key]*shown

	recent replay.Recent
}

// shown is a grid, with what has changed of it lately, and as it was given last.
type shown struct {
	*grid.Grid
	changes
	last frame
}

// changes are how the cells of a DaemonSet were at a position, and each that an event
// has changed since.
type changes struct {
	from  events.Seq
	cells []byte
	list  []change
}

// change is a cell from a position on.
type change struct {
	seq   events.Seq
	place int
	cell  [grid.CellBytes]byte
}

// maxChanges bounds the changes that are kept of a grid that is followed.
const maxChanges = 1 << 18

// note adds what an event has changed.
func (c *changes) note(seq events.Seq, places []int, cells []byte) {
	for _, i := range places {
		c.list = append(c.list, change{seq, i, [grid.CellBytes]byte(cells[grid.CellBytes*i:])})
	}
}

// upto returns how many of the changes are up to a position.
func (c *changes) upto(seq events.Seq) int {
	i, _ := slices.BinarySearchFunc(c.list, seq+1, func(x change, seq events.Seq) int { return int(x.seq) - int(seq) })
	return i
}

// at returns the cells at a position. Nodes that never stood anyhow may be missing at
// their end.
func (c *changes) at(seq events.Seq) []byte {
	cells := bytes.Clone(c.cells)
	for _, x := range c.list[:c.upto(seq)] {
		cells = append(cells, make([]byte, max(0, grid.CellBytes*(x.place+1)-len(cells)))...)
		copy(cells[grid.CellBytes*x.place:], x.cell[:])
	}
	return cells
}

// after returns cells at a position, and each change up to another, as deltas gives
// them.
func (c *changes) after(cells []byte, from, to events.Seq) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(cells)/grid.CellBytes))
	out = append(out, cells...)
	for _, x := range c.list[c.upto(from):c.upto(to)] {
		out = binary.LittleEndian.AppendUint32(out, uint32(x.seq-from))
		out = binary.LittleEndian.AppendUint32(out, uint32(x.place))
		out = append(out, x.cell[:]...)
	}
	return out
}

// thin lets go of the older half of too many changes.
func (c *changes) thin() {
	if len(c.list) < maxChanges {
		return
	}
	seq := c.list[len(c.list)/2].seq
	c.cells, c.from = c.at(seq), seq
	c.list = slices.Clone(c.list[c.upto(seq):])
}

// read reads the log as it goes on.
func (t *tail) read(ctx context.Context, es chan<- events.Event, failed chan<- error) {
	log, ok := t.log.(events.Tailer)
	if !ok {
		return // nothing comes
	}
	for e, err := range log.Tail(ctx, t.from) {
		if err != nil {
			failed <- err
			return
		}
		select {
		case es <- e:
		case <-ctx.Done():
			return
		}
	}
}

// follow folds an event, and those that have come behind it. What a question has
// folded already is passed over. What has been received is taken: whoever is let in between
// may not find a log with a hole.
func (e *ending) follow(ctx context.Context, t *tail, x events.Event, es <-chan events.Event) error {
	if err := e.enter(ctx); err != nil {
		return err
	}
	defer e.leave()
	if e.tail != t {
		return events.ErrUnavailable // the log was opened anew
	}
	for n := 1; ; n++ {
		if x.Seq > e.state.Seq() {
			e.take(x)
		}
		if n == maxTaken {
			return nil
		}
		select {
		case x = <-es:
		default:
			return nil
		}
	}
}

// before is told of an event that is to be folded.
func (t *tail) before(s *projector.State, e events.Event) {
	t.recent.Before(s, e)
	for _, g := range t.grids {
		g.Before(s, e)
	}
	if r := events.RefOf(e); r.Kind == events.Node {
		t.nodes.See(r.Key.Name, e.Seq)
	}
}

// after is told of it when it is.
func (t *tail) after(s *projector.State, e events.Event) {
	t.recent.After(e)
	for _, g := range t.grids {
		g.note(e.Seq, g.After(s, e), g.Cells())
		g.thin()
	}
}

// grid returns the grid of a DaemonSet, which is followed from here on.
func (t *tail) grid(s *projector.State, of events.Key) *shown {
	g := t.grids[of]
	if g == nil {
		g = &shown{Grid: grid.New(t.nodes, of, t.epoch)}
		g.Set(s)
		g.changes = changes{from: s.Seq(), cells: bytes.Clone(g.Cells())}
		t.grids[of] = g
	}
	return g
}

// frame returns how a DaemonSet stands.
func (t *tail) frame(s *projector.State, of events.Key) frame {
	g := t.grid(s, of)
	if g.last.seq == s.Seq() && g.last.seq != 0 {
		return g.last
	}
	k := known{g.last.seq, g.last.cells}
	x := frame{seq: s.Seq(), time: s.Time(), cells: g.last.cells, before: g.last.seq}
	if !bytes.Equal(x.cells, g.Cells()) {
		x.cells = bytes.Clone(g.Cells())
	}
	if x.before != 0 {
		x.text = k.goOn(x)
	}
	g.last = x
	return x
}
