package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// maxBatch bounds the events of one append and of a batch of several appends: it is
// what a server takes.
const maxBatch = 1000

// batch is one append: its messages, all or none, each with its expectation.
type batch struct {
	ctx   context.Context
	ids   []string
	msgs  []fencedMsg
	taken bool // it is being sent; guarded by Log.mu
	done  chan result
}

// fencedMsg is one event to store if its expectation holds.
type fencedMsg struct {
	subject string
	id      string
	data    []byte
	expect  events.Expect
	seen    events.Seq // Entry.Seen
	bound   bool       // its subject says whether it is stored: the server need not know its id
}

type result struct {
	seq events.Seq
	err error
}

// Append implements events.Appender. An event is known by its id for ten
// minutes after it was stored, unless it is bound; an append that is made again
// with the same expectations on the subjects of its events, for ever.
func (l *Log) Append(ctx context.Context, es ...events.Entry) (events.Seq, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	b, err := l.batch(ctx, es)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	if err := l.refusal(b.bytes()); err != nil {
		return 0, err
	}
	l.enqueue(b)
	select {
	case r := <-b.done:
		return r.seq, r.err
	case <-ctx.Done():
	}
	if l.withdraw(b) {
		return 0, ctx.Err()
	}
	select {
	case r := <-b.done: // it was answered meanwhile
		return r.seq, r.err
	default:
		return 0, fmt.Errorf("append: %w: %w", events.ErrUnknown, ctx.Err())
	}
}

// batch makes the messages of an append.
func (l *Log) batch(ctx context.Context, es []events.Entry) (*batch, error) {
	if l.resting.Load() {
		return nil, errResting
	}
	if len(es) > maxBatch {
		return nil, fmt.Errorf("%d events at once, at most %d", len(es), maxBatch)
	}
	all, err := l.subjects.Encode(es...)
	if err != nil {
		return nil, err
	}
	b := &batch{ctx: ctx, done: make(chan result, 1), msgs: make([]fencedMsg, 0, len(all)), ids: make([]string, 0, len(all))}
	seen := map[string]bool{}
	for _, e := range all {
		if len(e.Raw) > l.most() {
			return nil, events.TooLarge(e.Subject, len(e.Raw), l.most())
		}
		id := e.ID.String()
		if !seen[id] {
			b.msgs = append(b.msgs, fencedMsg{e.Subject, id, e.Raw, e.Expect, e.Seen, e.Bound})
		}
		seen[id] = true
		b.ids = append(b.ids, id)
	}
	return b, nil
}

// bytes returns how much an append may take of the disk: what a batch holds is
// written twice.
func (b *batch) bytes() (n int) {
	for _, m := range b.msgs {
		n += len(m.data)
	}
	return 2 * n
}

// fenced returns a new message with the headers by which it is known, and refused
// if its expectation does not hold.
func (l *Log) fenced(m fencedMsg) *nats.Msg {
	h := nats.Header{}
	if !m.bound {
		h[jetstream.MsgIDHeader] = []string{m.id}
	}
	if x := l.fence(m.expect); x.Subject != "" {
		h[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(uint64(x.Last), 10)}
		if x.Subject != m.subject {
			h[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{x.Subject}
		}
	}
	return &nats.Msg{Subject: m.subject, Data: m.data, Header: h}
}

// allFenced returns new messages of all, with their headers.
func (l *Log) allFenced(ms []fencedMsg) []*nats.Msg {
	out := make([]*nats.Msg, len(ms))
	for i, m := range ms {
		out[i] = l.fenced(m)
	}
	return out
}

// send sends one append by itself and says what became of it.
func (l *Log) send(b *batch) result {
	ctx, cancel := context.WithTimeout(b.ctx, l.timeout)
	defer cancel()
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		seq, err := l.sendOnce(ctx, b)
		away := errors.Is(err, errAway)
		if errors.Is(err, events.ErrUnknown) && ctx.Err() != nil && b.ctx.Err() == nil {
			l.trip(err)
		}
		if !errors.Is(err, errBusy) && !away {
			return result{seq, err}
		}
		pause(ctx, wait)
		switch {
		case ctx.Err() == nil:
		case away && b.ctx.Err() != nil:
			return result{0, fmt.Errorf("append: %w: %w", b.ctx.Err(), err)}
		case away:
			return result{0, l.trip(err)}
		default:
			return result{0, fmt.Errorf("append: %w: %w", events.ErrUnknown, err)}
		}
	}
}

func (l *Log) sendOnce(ctx context.Context, b *batch) (events.Seq, error) {
	seq, err := l.sendNow(ctx, b)
	if errors.Is(err, events.ErrConflict) && l.moved(ctx, b) {
		return l.sendNow(ctx, b)
	}
	return seq, err
}

func (l *Log) sendNow(ctx context.Context, b *batch) (events.Seq, error) {
	if err := l.blind(b.msgs); err != nil {
		return 0, err
	}
	var seq events.Seq
	var err error
	if len(b.msgs) == 1 {
		seq, err = l.publish(ctx, l.fenced(b.msgs[0]))
	} else {
		seq, err = l.publishBatch(ctx, l.allFenced(b.msgs))
	}
	if errors.Is(err, events.ErrConflict) || errors.Is(err, errDuplicate) || errors.Is(err, errBusy) {
		return l.explain(ctx, b, err)
	}
	return seq, err
}

// explain says what a refusal means: an earlier try of the same append may
// be what has moved the subject. Events that are in the log are left out of a
// further try.
func (l *Log) explain(ctx context.Context, b *batch, refused error) (events.Seq, error) {
	at := map[string]events.Seq{}
	var fresh []fencedMsg
	var after events.Seq // whatever of b is stored is behind all that it expects
	for _, m := range b.msgs {
		after = max(after, m.expect.Last)
	}
	for _, m := range b.msgs {
		seq, err := l.find(ctx, m, after)
		if err != nil {
			return 0, fmt.Errorf("append: %w: %w", events.ErrUnknown, err)
		}
		if at[m.id] = seq; seq == 0 {
			fresh = append(fresh, m)
		}
	}
	last := b.ids[len(b.ids)-1]
	switch {
	case len(fresh) == 0:
		return at[last], nil
	case len(fresh) == len(b.msgs) || !errors.Is(refused, errDuplicate):
		return 0, refused
	}
	rest := &batch{ids: b.ids, msgs: fresh}
	seq, err := l.sendOnce(ctx, rest)
	if err == nil && at[last] != 0 {
		seq = at[last]
	}
	return seq, err
}

// find returns the position of a message that was stored with the id of m, or 0
// if there is none. It looks at the subject's messages after a position, which
// is where one stored under an expectation of that position is, and then asks
// the server, which knows the ids of the last ten minutes.
func (l *Log) find(ctx context.Context, m fencedMsg, after events.Seq) (events.Seq, error) {
	if seq, err := l.scan(ctx, m, after); err != nil || seq != 0 {
		return seq, err
	}
	if after == 0 || m.bound {
		return 0, nil
	}
	// A batch is checked for known ids before its expectations, of which this
	// one cannot hold: nothing is stored.
	probe := fencedMsg{subject: m.subject, id: m.id, data: m.data, expect: events.Expect{Subject: m.subject, Last: 1 << 62}}
	_, err := l.publishBatch(ctx, []*nats.Msg{l.fenced(probe)})
	switch {
	case errors.Is(err, errDuplicate):
		return l.scan(ctx, m, 0)
	case errors.Is(err, events.ErrConflict):
		return 0, nil
	}
	return 0, err
}

// scan looks for the id of m among the messages of its subject after a position.
func (l *Log) scan(ctx context.Context, m fencedMsg, after events.Seq) (events.Seq, error) {
	for {
		s, ok, err := l.stored(ctx, lookup{Seq: after + 1, NextFor: m.subject})
		if err != nil || !ok {
			return 0, err
		}
		if e := s.event(); e.ID.String() == m.id {
			return s.Seq, nil
		}
		after = s.Seq
	}
}
