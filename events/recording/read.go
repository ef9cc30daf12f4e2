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
		// Who looks at one event is not to wait for those behind it to be decoded.
		if len(blocks) > 0 && !r.handOn(ctx, r.unpackBlock(blocks[0]), after, decoded(yield)) || len(blocks) < 2 {
			return
		}
		for l := range ahead.Load(ctx, blocks[1:], r.readBlock) {
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

// readBlock reads the events of a block.
func (r *Recording) readBlock(block int) loaded {
	es, err := r.decode(&r.entries[block])
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

// decode reads the events of a block.
func (r *Recording) decode(e *entry) (es []events.Event, err error) {
	buf := r.borrow()
	defer r.giveBack(buf)
	data, err := r.unpack(e, buf)
	if err != nil {
		return nil, err
	}
	es = make([]events.Event, 0, min(int(e.last-e.first+1), len(data)/recordHead))
	subject := ""
	why := records(data, e, func(x record) bool {
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
	return decode(events.Event{Seq: x.seq, Stored: clock(x.time), Subject: subject, Raw: x.raw})
}

// decode returns an event of which there are the bytes, which are somebody else's.
func decode(x events.Event) events.Event {
	e := events.Decode(bytes.Clone(x.Raw))
	e.Seq, e.Stored, e.Subject = x.Seq, x.Stored, x.Subject
	return e
}

// decoded returns who takes events that are not decoded for one who takes them
// decoded.
func decoded(yield func(events.Event, error) bool) func(events.Event, error) bool {
	return func(e events.Event, err error) bool {
		if err == nil {
			e = decode(e)
		}
		return yield(e, err)
	}
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
