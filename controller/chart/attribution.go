// Package chart draws a rollout for a report: its waves, and which nodes were without
// an available pod meanwhile, by why. The picture is text (SVG), and a function of
// what the log says: of a rollout that has ended it has the same bytes each time.
package chart

import (
	"bytes"
	"context"
	"slices"
	"time"

	"rollcall/controller/grid"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// Chart is what is drawn of a rollout.
type Chart struct {
	Rollout *replay.Rollout `json:"rollout"`
	Until   replay.Point    `json:"until"` // its end, or what is asked about
	Causes  []string        `json:"causes"`
	Samples []Sample        `json:"samples"`
}

// Sample is how many nodes are without an available pod from a moment on, by cause.
type Sample struct {
	replay.Point
	Nodes []int `json:"nodes"` // by cause, in the order of Causes; the first are those that have one
}

// sum returns how many nodes are without an available pod.
func (s Sample) sum() (n int) {
	for _, k := range s.Nodes[1:] {
		n += k
	}
	return n
}

// Of returns the chart of a rollout, up to a position if it has not ended before that.
func Of(ctx context.Context, h *replay.History, r *replay.Rollout, at replay.Point) (*Chart, error) {
	c := &Chart{Rollout: r, Until: at, Causes: grid.Causes}
	if r.End.Seq > 0 && r.End.Seq < at.Seq {
		c.Until = r.End
	}
	s, err := h.At(ctx, r.Start.Seq)
	if err != nil {
		return nil, err
	}
	nodes := grid.NewNodes()
	for _, n := range s.List(events.Node, "") {
		nodes.See(n.Key.Name, s.Seq())
	}
	g := grid.New(nodes, r.DaemonSet, r.Start.Time)
	g.Set(s)
	was, now := bytes.Clone(g.Cells()), Sample{Point: r.Start, Nodes: make([]int, len(grid.Causes))}
	for i := 0; i < len(was); i += grid.CellBytes {
		now.take(was[i], 1)
	}
	c.add(now)
	return c, h.Walk(ctx, r.Start.Seq, c.Until.Seq, replay.Visit{
		Before: func(s *projector.State, e events.Event) error {
			g.Before(s, e)
			if ref := events.RefOf(e); ref.Kind == events.Node {
				nodes.See(ref.Key.Name, e.Seq)
			}
			return nil
		},
		After: func(s *projector.State, e events.Event) error {
			changed := g.After(s, e)
			was = append(was, make([]byte, len(g.Cells())-len(was))...)
			for _, i := range changed {
				now.take(was[grid.CellBytes*i], -1)
				now.take(g.Cells()[grid.CellBytes*i], 1)
				copy(was[grid.CellBytes*i:], g.Cells()[grid.CellBytes*i:][:grid.CellBytes])
			}
			if len(changed) > 0 {
				now.Point = replay.Point{Seq: e.Seq, Time: e.Stored}
				c.add(now)
			}
			return nil
		},
	})
}

// take counts the first byte of a cell. What is not wanted has no cause either, and is
// none of those that are available.
func (s Sample) take(cell byte, by int) {
	if p := grid.Phase(cell & 15); p != grid.Absent && p != grid.Unwanted {
		s.Nodes[cell>>4] += by
	}
}

// add notes a sample, if it differs from the last.
func (c *Chart) add(s Sample) {
	n := len(c.Samples)
	if n > 0 && slices.Equal(c.Samples[n-1].Nodes, s.Nodes) {
		return
	}
	s.Nodes = slices.Clone(s.Nodes)
	if n > 0 && c.Samples[n-1].Time.Equal(s.Time) {
		c.Samples[n-1] = s
		return
	}
	c.Samples = append(c.Samples, s)
}

// took is how long the chart is.
func (c *Chart) took() time.Duration {
	return max(time.Millisecond, c.Until.Time.Sub(c.Rollout.Start.Time))
}
