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

// maxBatch bounds the events of one append and of a gathered batch. A server
// takes 1,000 in one batch.
const maxBatch = 500

// entry is one append: its messages, all or none, under one expectation.
type entry struct {
	ctx    context.Context
	expect events.Expect
	ids    []string
	msgs   []*nats.Msg
	taken  bool // it is being sent; guarded by Log.mu
	done   chan result
}

type result struct {
	seq events.Seq
	err error
}

// Append implements events.Appender. An event is known by its id for ten
// minutes after it was stored; an append that is made again with the same
// expectation on the subject of its first event, for ever.
func (l *Log) Append(ctx context.Context, x events.Expect, es ...events.Event) (events.Seq, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	en, err := l.entry(ctx, x, es)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	if err := l.refusal(en.bytes()); err != nil {
		return 0, err
	}
	l.enqueue(en)
	select {
	case r := <-en.done:
		return r.seq, r.err
	case <-ctx.Done():
	}
	if l.withdraw(en) {
		return 0, ctx.Err()
	}
	select {
	case r := <-en.done: // it was answered meanwhile
		return r.seq, r.err
	default:
		return 0, fmt.Errorf("append: %w: %w", events.ErrUnknown, ctx.Err())
	}
}

// entry makes the messages of an append.
func (l *Log) entry(ctx context.Context, x events.Expect, es []events.Event) (*entry, error) {
	switch {
	case len(es) == 0:
		return nil, errors.New("no events")
	case len(es) > maxBatch:
		return nil, fmt.Errorf("%d events at once, at most %d", len(es), maxBatch)
	case x.Subject == "" && x.Last != 0:
		return nil, fmt.Errorf("position %d is expected of no subject", x.Last)
	}
	en := &entry{ctx: ctx, expect: x, done: make(chan result, 1)}
	seen := map[string]bool{}
	for _, e := range es {
		subject, raw, err := l.subjects.Entry(e)
		if err != nil {
			return nil, err
		}
		if len(raw) > l.most() {
			return nil, events.TooLarge(subject, len(raw), l.most())
		}
		id := e.ID.String()
		en.ids = append(en.ids, id)
		if seen[id] {
			continue
		}
		seen[id] = true
		en.msgs = append(en.msgs, &nats.Msg{Subject: subject, Data: raw,
			Header: nats.Header{jetstream.MsgIDHeader: {id}}})
	}
	return en, nil
}

// bytes returns how much an append may take of the disk: what a batch holds is
// written twice.
func (en *entry) bytes() (n int) {
	for _, m := range en.msgs {
		n += len(m.Data)
	}
	return 2 * n
}

// fence returns a copy of m that is refused if x does not hold.
func fence(m *nats.Msg, x events.Expect) *nats.Msg {
	if x.Subject == "" {
		return m
	}
	c := withHeader(m, jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(uint64(x.Last), 10))
	if x.Subject != m.Subject {
		c.Header[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{x.Subject}
	}
	return c
}

// withHeader returns a copy of m with one more header.
func withHeader(m *nats.Msg, key, value string) *nats.Msg {
	h := nats.Header{key: {value}}
	for _, k := range []string{jetstream.MsgIDHeader, jetstream.ExpectedLastSubjSeqHeader,
		jetstream.ExpectedLastSubjSeqSubjHeader, batchID, batchSeq} {
		if v, ok := m.Header[k]; ok {
			h[k] = v
		}
	}
	return &nats.Msg{Subject: m.Subject, Data: m.Data, Header: h}
}

// send appends one entry by itself and says what became of it.
func (l *Log) send(en *entry) result {
	ctx, cancel := context.WithTimeout(en.ctx, l.timeout)
	defer cancel()
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		seq, err := l.sendOnce(ctx, en)
		away := errors.Is(err, errAway)
		if errors.Is(err, events.ErrUnknown) && ctx.Err() != nil && en.ctx.Err() == nil {
			l.trip(err)
		}
		if !errors.Is(err, errBusy) && !away {
			return result{seq, err}
		}
		pause(ctx, wait)
		switch {
		case ctx.Err() == nil:
		case away && en.ctx.Err() != nil:
			return result{0, fmt.Errorf("append: %w: %w", en.ctx.Err(), err)}
		case away:
			return result{0, l.trip(err)}
		default:
			return result{0, fmt.Errorf("append: %w: %w", events.ErrUnknown, err)}
		}
	}
}

func (l *Log) sendOnce(ctx context.Context, en *entry) (events.Seq, error) {
	var seq events.Seq
	var err error
	if len(en.msgs) == 1 {
		seq, err = l.publish(ctx, fence(en.msgs[0], en.expect))
	} else {
		seq, err = l.publishBatch(ctx, en.fenced())
	}
	if errors.Is(err, events.ErrConflict) || errors.Is(err, errDuplicate) || errors.Is(err, errBusy) {
		return l.settle(ctx, en, err)
	}
	return seq, err
}

// fenced returns the messages of en with its expectation on the first: later
// ones would be checked against what the batch itself writes.
func (en *entry) fenced() []*nats.Msg {
	return append([]*nats.Msg{fence(en.msgs[0], en.expect)}, en.msgs[1:]...)
}

// settle decides what a refusal means: an earlier try of the same append may
// be what has moved the subject. Events that are in the log are left out of a
// further try.
func (l *Log) settle(ctx context.Context, en *entry, refused error) (events.Seq, error) {
	at := map[string]events.Seq{}
	var fresh []*nats.Msg
	for _, m := range en.msgs {
		id := m.Header.Get(jetstream.MsgIDHeader)
		seq, err := l.find(ctx, m, en.expect.Last)
		if err != nil {
			return 0, fmt.Errorf("append: %w: %w", events.ErrUnknown, err)
		}
		if at[id] = seq; seq == 0 {
			fresh = append(fresh, m)
		}
	}
	last := en.ids[len(en.ids)-1]
	switch {
	case len(fresh) == 0:
		return at[last], nil
	case len(fresh) == len(en.msgs) || !errors.Is(refused, errDuplicate):
		return 0, refused
	}
	rest := &entry{expect: en.expect, ids: en.ids, msgs: fresh}
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
func (l *Log) find(ctx context.Context, m *nats.Msg, after events.Seq) (events.Seq, error) {
	if seq, err := l.scan(ctx, m, after); err != nil || seq != 0 {
		return seq, err
	}
	if after == 0 {
		return 0, nil
	}
	// A batch is checked for known ids before its expectations, of which this
	// one cannot hold: nothing is stored.
	probe := fence(m, events.Expect{Subject: m.Subject, Last: 1 << 62})
	_, err := l.publishBatch(ctx, []*nats.Msg{probe})
	switch {
	case errors.Is(err, errDuplicate):
		return l.scan(ctx, m, 0)
	case errors.Is(err, events.ErrConflict):
		return 0, nil
	}
	return 0, err
}

// scan looks for the id of m among the messages of its subject after a position.
func (l *Log) scan(ctx context.Context, m *nats.Msg, after events.Seq) (events.Seq, error) {
	id := m.Header.Get(jetstream.MsgIDHeader)
	for {
		s, ok, err := l.stored(ctx, lookup{Seq: after + 1, NextFor: m.Subject})
		if err != nil || !ok {
			return 0, err
		}
		h, err := nats.DecodeHeadersMsg(s.Header)
		if err == nil && h.Get(jetstream.MsgIDHeader) == id {
			return s.Seq, nil
		}
		after = s.Seq
	}
}
