package recording

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"time"

	"rollcall/events"
	"rollcall/events/ahead"
	"rollcall/events/chain"
)

// Info tells what log the recording is of and where it ends.
func (r *Recording) Info(ctx context.Context) (events.Info, error) {
	if err := ctx.Err(); err != nil {
		return events.Info{}, err
	}
	return events.Info{ID: r.manifest.Log, Last: r.last(), Before: r.manifest.Before.Seq}, nil
}

// Before is the position before the first event: zero, if the recording begins
// where its log does.
func (r *Recording) Before() chain.Position {
	return chain.Position{Log: r.manifest.Log, Seq: r.manifest.Before.Seq, Chain: r.manifest.Before.Chain}
}

func (r *Recording) last() events.Seq { return max(r.lastEvent(), r.manifest.Before.Seq) }

// blockOf returns which of the blocks holds a position, or the number of blocks.
func (r *Recording) blockOf(seq events.Seq) int {
	i, _ := slices.BinarySearchFunc(r.blocks, seq, func(b int, seq events.Seq) int {
		if r.entries[b].last < seq {
			return -1
		}
		return 1
	})
	return i
}

// covers refuses to read on from a position that the recording does not know.
func (r *Recording) covers(after events.Seq) error {
	switch {
	case after < r.manifest.Before.Seq:
		return r.before(after)
	case after > r.last():
		return events.Truncated(after, r.last())
	}
	return nil
}

// Read implements events.Reader. Positions before the first of a recording are
// refused with E-REC-START, which is an events.ErrGap. Events have bytes of their
// own: one that is kept keeps no block.
func (r *Recording) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		if err := r.covers(after); err != nil {
			yield(events.Event{}, err)
			return
		}
		blocks := r.blocks[r.blockOf(after+1):]
		// Who looks at one event is not to wait for the blocks behind it.
		if len(blocks) > 0 && !r.readBlock(blocks[0], after).yield(ctx, yield) || len(blocks) < 2 {
			return
		}
		for l := range ahead.Load(ctx, blocks[1:], func(block int) loaded { return r.readBlock(block, 0) }) {
			if !l.yield(ctx, yield) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(events.Event{}, err)
		}
	}
}

// loaded is a block that was read: its events, and what ended it.
type loaded struct {
	events []events.Event
	err    error
}

// yield hands the events on. It reports whether more are wanted, and can be had.
func (l loaded) yield(ctx context.Context, yield func(events.Event, error) bool) bool {
	for _, e := range l.events {
		if err := ctx.Err(); err != nil {
			yield(events.Event{}, err)
			return false
		}
		if !yield(e, nil) {
			return false
		}
	}
	if l.err != nil {
		yield(events.Event{}, l.err)
	}
	return l.err == nil
}

// readBlock reads the events of a block after a position.
func (r *Recording) readBlock(block int, after events.Seq) loaded {
	es, err := r.decode(&r.entries[block], after)
	return loaded{es, err}
}

// borrow returns memory for a block, which giveBack takes back. It is kept for as
// long as the recording is open: a pool would lose it at every collection.
func (r *Recording) borrow() *buffers {
	select {
	case buf := <-r.memory:
		return buf
	default:
		return new(buffers)
	}
}

func (r *Recording) giveBack(buf *buffers) {
	select {
	case r.memory <- buf:
	default: // more were lent than are kept
	}
}

// decode reads the events of a block after a position.
func (r *Recording) decode(e *entry, after events.Seq) (es []events.Event, err error) {
	buf := r.borrow()
	defer r.giveBack(buf)
	data, err := r.unpack(e, buf)
	if err != nil {
		return nil, err
	}
	es = make([]events.Event, 0, min(int(e.last-max(e.first-1, after)), len(data)/recordHead))
	subject := ""
	why := records(data, e, func(x record) bool {
		if x.seq <= after {
			return true
		}
		if subject != string(x.subject) {
			subject = string(x.subject)
		}
		es = append(es, x.event(subject))
		return true
	})
	if why != "" {
		return es, r.damaged(e.name, e.offset, why)
	}
	return es, nil
}

func (x record) event(subject string) events.Event {
	e := events.Decode(bytes.Clone(x.raw))
	e.Seq, e.Stored, e.Subject = x.seq, clock(x.time), subject
	return e
}

// At returns the position of the last event before the first one that was stored
// after t: what was so at that time. It reads at most one block.
func (r *Recording) At(t time.Time) (events.Seq, error) {
	i := slices.IndexFunc(r.blocks, func(b int) bool { return clock(r.entries[b].to).After(t) })
	if i < 0 {
		return r.last(), nil
	}
	e := &r.entries[r.blocks[i]]
	buf := r.borrow()
	defer r.giveBack(buf)
	data, err := r.unpack(e, buf)
	if err != nil {
		return 0, err
	}
	at := e.first - 1
	why := records(data, e, func(x record) bool {
		if clock(x.time).After(t) {
			return false
		}
		at = x.seq
		return true
	})
	if why != "" {
		return 0, r.damaged(e.name, e.offset, why)
	}
	return at, nil
}
