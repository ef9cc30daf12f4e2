package replay

import (
	"context"

	"rollcall/events"
	"rollcall/events/ahead"
	"rollcall/projector"
	"rollcall/projector/table"
)

// passer is what passes over a log, and remembers something from event to event. A
// log that has keyframes is passed over in several legs at once, each from one
// keyframe to the next, and what comes of it is what would have come of one
// (TestLegs).
type passer interface {
	// visit is what it is told of.
	visit() Visit
	// goOn takes over what the next has seen, which has begun where this one ends and
	// knew nothing of what was before. It reports false if that one might have seen
	// something else had it known, and is then as it was.
	goOn(next passer) bool
}

// What a leg has at least, so that it saves more than reading a keyframe and making
// one to be held against it, and at most: what waits for the legs before it to be
// taken over is kept in memory.
const (
	minLeg = 100_000
	maxLeg = 1_000_000
)

// leg is a part of a log that is passed over beside others.
type leg struct {
	begin memoryKeyframe // without data: that of the first
	to    events.Seq
	end   func() // what comes behind it

	state *projector.State
	passer
	met bool // it has come to the keyframe that the next one begins with
	err error
}

// over is pass for who has seen all that was before a state. The state is not to be
// used any more: over returns the one at the end.
func (h *History) over(ctx context.Context, s *projector.State, to events.Seq, p passer, begin func(*projector.State) passer) (*projector.State, error) {
	for s.Seq() < to {
		legs, err := h.legs(ctx, s.Seq(), to)
		if err != nil {
			return nil, err
		}
		legs[0].state, legs[0].passer = s, p
		h.passLegs(ctx, legs, begin)
		if s, err = h.join(ctx, legs); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// legs divides a part of the log where it has keyframes. It may end before the part
// does.
func (h *History) legs(ctx context.Context, from, to events.Seq) ([]*leg, error) {
	n := max(1, min(events.Seq(h.abreast), (to-from)/h.leg))
	legs, at := []*leg{{}}, from
	size := min((to-from)/n, maxLeg)
	for i := events.Seq(1); i < n; i++ {
		k, err := h.keyframe(ctx, from+i*size)
		if err != nil {
			return nil, err
		}
		if k.seq < at+h.leg {
			continue
		}
		legs[len(legs)-1].to, at = k.seq, k.seq
		legs = append(legs, &leg{begin: k})
	}
	if legs[len(legs)-1].to = to; size == maxLeg {
		legs[len(legs)-1].to = from + n*size
	}
	return legs, nil
}

// passLegs passes over all legs at once. Those behind one that does not come to the
// keyframe with which they begin are ended.
func (h *History) passLegs(ctx context.Context, legs []*leg, begin func(*projector.State) passer) {
	ctxs := make([]context.Context, len(legs))
	for i := range legs {
		ctxs[i] = ctx
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		defer end()
		legs[i].end = end
	}
	ahead.Together(len(legs), func(i int) {
		l := legs[i]
		if l.state == nil {
			if l.state, l.err = projector.ReadKeyframe(l.begin.data, h.id, table.New(table.History{})); l.err != nil {
				return // whoever comes to it folds on
			}
			l.passer = begin(l.state)
		}
		l.err = h.pass(ctxs[i], l.state, l.to, l.visit())
		if i+1 < len(legs) {
			l.met = l.err == nil && l.state.Same(legs[i+1].begin.data)
		}
		if !l.met {
			l.end()
		}
	})
}

// join takes over what was seen on all legs by the passer of the first, and returns
// the state at their end. Where one does not go on from those before it, the log is
// folded on from there.
func (h *History) join(ctx context.Context, legs []*leg) (*projector.State, error) {
	at, p := legs[0], legs[0].passer
	for _, next := range legs[1:] {
		if at.err != nil {
			break
		}
		if !at.met || next.passer == nil || !p.goOn(next.passer) {
			return at.state, h.pass(ctx, at.state, legs[len(legs)-1].to, p.visit())
		}
		at = next
	}
	return at.state, at.err
}
