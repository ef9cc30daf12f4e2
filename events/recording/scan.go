package recording

import (
	"context"
	"iter"

	"rollcall/events"
	"rollcall/events/ahead"
)

// Scan is Read without decoding: of an event there are position, time, subject
// and bytes, which are good until the next one is asked for. It refuses what Read
// refuses. Who looks for a few of many events decodes those. look, if there is one, is
// called with the bytes of each event ahead of who takes it, on any core and for several
// events at once; Looked has what it returned.
func (r *Recording) Scan(ctx context.Context, after events.Seq, look func(raw []byte) any) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		if err := r.covers(after); err != nil {
			yield(events.Event{}, err)
			return
		}
		unpack := func(block int) unpacked {
			u := r.unpackBlock(block)
			u.lookAt(after, look)
			return u
		}
		for u := range ahead.Load(ctx, r.blocks[r.blockOf(after+1):], unpack) {
			if !r.handOn(ctx, u, after, yield) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(events.Event{}, err)
		}
	}
}

// unpacked is a block in memory that was borrowed.
type unpacked struct {
	entry  *entry
	buf    *buffers
	data   []byte
	looked []any // of its records, from the first on; nil: nobody has looked
	err    error
}

// lookAt looks at the records after a position. What of them is damaged is found, and
// told, when they are handed on.
func (u *unpacked) lookAt(after events.Seq, look func([]byte) any) {
	if look == nil || u.err != nil {
		return
	}
	u.looked = make([]any, 0, u.entry.last-u.entry.first+1)
	records(u.data, u.entry, func(x record) bool {
		var is any
		if x.seq > after {
			is = look(x.raw)
		}
		u.looked = append(u.looked, is)
		return true
	})
}

// unpackBlock unpacks a block.
func (r *Recording) unpackBlock(block int) unpacked {
	u := unpacked{entry: &r.entries[block], buf: r.borrow()}
	u.data, u.err = r.unpack(u.entry, u.buf)
	return u
}

// handOn hands on the records of a block after a position. It reports whether more
// are wanted, and can be had.
func (r *Recording) handOn(ctx context.Context, u unpacked, after events.Seq, yield func(events.Event, error) bool) bool {
	defer r.giveBack(u.buf)
	if u.err != nil {
		yield(events.Event{}, u.err)
		return false
	}
	subject, on := "", true
	why := records(u.data, u.entry, func(x record) bool {
		switch {
		case x.seq <= after:
			return true
		case ctx.Err() != nil:
			on = false
			yield(events.Event{}, ctx.Err())
			return false
		}
		if subject != string(x.subject) {
			subject = string(x.subject)
		}
		e := events.Event{Seq: x.seq, Stored: clock(x.time), Subject: subject, Raw: x.raw}
		if u.looked != nil {
			e.Looked = u.looked[x.seq-u.entry.first]
		}
		on = yield(e, nil)
		return on
	})
	if on && why != "" {
		yield(events.Event{}, r.damaged(u.entry.name, u.entry.offset, why))
		return false
	}
	return on
}
