package replay_test

import (
	"testing"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// calling is a call of a cell of a DaemonSet.
type calling struct {
	set  events.Ref
	cell sets.CellKey
	call controller.Call
}

// beginnings are the events at which each call began and ended, in turn.
type beginnings struct {
	state   *projector.State
	reasons controller.Reasons
	turns   map[calling][]events.Seq
}

func newBeginnings() *beginnings {
	return &beginnings{state: projector.New(""), turns: map[calling][]events.Seq{}}
}

func (b *beginnings) take(e events.Event) {
	projector.Fold(b.state, e)
	now := map[calling]bool{}
	for _, ds := range b.state.AllSets() {
		for _, c := range ds.AllCells() {
			for _, call := range b.reasons.OfCell(b.state, c, nil) {
				now[calling{ds.Ref(), c.CellKey, call}] = true
			}
		}
	}
	for k := range b.turns {
		if !now[k] && len(b.turns[k])%2 == 1 {
			b.turns[k] = append(b.turns[k], e.Seq)
		}
	}
	for k := range now {
		if len(b.turns[k])%2 == 0 {
			b.turns[k] = append(b.turns[k], e.Seq)
		}
	}
}

// at returns where the reason of a command began that held at the basis of its
// plan; 0: it did not hold there.
func (b *beginnings) at(p *events.Plan, c events.Command) events.Seq {
	turns := b.turns[calling{p.Owner, sets.CellKey{Node: c.Node, NodeUID: c.NodeUID}, controller.CallOf(c)}]
	for i := len(turns) - 1; i >= 0; i-- {
		if turns[i] <= p.Basis.Seq {
			if i%2 == 0 {
				return turns[i]
			}
			return 0
		}
	}
	return 0
}

// TestBeginnings finds the reason of every command a second time, without the
// help of the fold: it looks at every cell after every event.
func TestBeginnings(t *testing.T) {
	commands := 0
	for seed := range uint64(20) {
		log := simtest.Run(seed, simtest.Options{}).Log()
		cs := causes(t, open(t, log))
		b := newBeginnings()
		for _, e := range all(t, log) {
			if p, ok := e.Body.(*events.Plan); ok {
				for i, c := range p.Commands {
					if c.Do == events.ReleasePod {
						continue
					}
					commands++
					if want, got := b.at(p, c), cs.Of(replay.Link{Seq: e.Seq, Index: i}).Seq; want != got || want == 0 {
						t.Errorf("seed %d, #%d[%d] %s: the reason began at #%d, and is said to have begun at #%d", seed, e.Seq, i, c, want, got)
					}
				}
			}
			b.take(e)
		}
	}
	t.Logf("%d commands", commands)
}
