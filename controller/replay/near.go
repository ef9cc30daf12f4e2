package replay

import (
	"context"
	"iter"

	"rollcall/events"
)

// near is a log whose last events to be read are kept in memory: a question goes
// over some of them several times, and to open a log in its middle costs as much
// as reading thousands of events, from files as over a network.
type near struct {
	Log
	last  events.Seq     // the end of what is read
	kept  []events.Event // without a gap
	gone  int            // of kept, how many at its beginning are let go
	bytes int
	bound int // of bytes
}

// maxNear bounds the bytes of the events that a history keeps.
const maxNear = 64 << 20

// Read implements events.Reader.
func (n *near) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for i, ok := n.index(after + 1); ok; i, ok = n.index(after + 1) {
			if err := ctx.Err(); err != nil {
				yield(events.Event{}, err)
				return
			}
			after++
			if !yield(n.kept[i], nil) {
				return
			}
		}
		if after < n.last {
			n.readOn(ctx, after, yield)
		}
	}
}

// readOn reads what is not kept. It is kept if it goes on from what is, or is
// more than that.
func (n *near) readOn(ctx context.Context, after events.Seq, yield func(events.Event, error) bool) {
	var run []events.Event
	for e, err := range n.Log.Read(ctx, after) {
		switch {
		case err != nil:
			yield(events.Event{}, err)
			return
		case len(n.kept) > 0 && n.kept[len(n.kept)-1].Seq+1 == e.Seq:
			n.keep(e)
			run = nil // who is told of an event may read too: what is kept changes meanwhile
		default:
			if run = append(run, e); len(run) > len(n.kept)-n.gone {
				n.kept, n.gone, n.bytes, run = run, 0, sizeOf(run), nil
			}
		}
		if !yield(e, nil) || e.Seq >= n.last {
			return
		}
	}
}

func sizeOf(es []events.Event) (bytes int) {
	for i := range es {
		bytes += len(es[i].Raw)
	}
	return bytes
}

// index returns where an event is kept.
func (n *near) index(seq events.Seq) (int, bool) {
	if len(n.kept) == 0 || seq < n.kept[n.gone].Seq || seq > n.kept[len(n.kept)-1].Seq {
		return 0, false
	}
	return len(n.kept) - 1 - int(n.kept[len(n.kept)-1].Seq-seq), true
}

// keep adds the next event. When there are too many, the first are let go; their
// room is used again.
func (n *near) keep(e events.Event) {
	if n.gone > len(n.kept)/2 {
		left := copy(n.kept, n.kept[n.gone:])
		clear(n.kept[left:])
		n.kept, n.gone = n.kept[:left], 0
	}
	n.kept = append(n.kept, e)
	for n.bytes += len(e.Raw); n.bytes > n.bound && n.gone < len(n.kept)-1; n.gone++ {
		n.bytes -= len(n.kept[n.gone].Raw)
		n.kept[n.gone] = events.Event{}
	}
}
