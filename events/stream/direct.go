package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// How a log is read without a consumer.
const (
	directBatch = 2000    // messages asked for at once
	directBytes = 4 << 20 // of a batch, about
	directPoll  = 200 * time.Millisecond
	// A batch whose next message does not come in this time is asked for again.
	directTimeout = 5 * time.Second
)

// Answers to a direct get that are no message.
const (
	statusNone = "404"
	statusEnd  = "204"
)

// direct is one pass over the log by direct gets. They come from any replica,
// which may be behind: what is missing is asked of the leader.
type direct struct {
	log   *Log
	tail  bool
	id    string     // of the stream that is read
	at    events.Seq // last position yielded
	end   events.Seq // last position that the log is known to have
	inbox string
	sub   *nats.Subscription
	tries int
}

func (l *Log) readDirect(ctx context.Context, after events.Seq, tail bool) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		d := &direct{log: l, tail: tail, at: after}
		if err := d.begin(ctx); err != nil {
			yield(events.Event{}, err)
			return
		}
		defer func() { _ = d.sub.Unsubscribe() }() // the connection may be gone
		for tail || d.at < d.end {
			more, err := d.batch(ctx, yield)
			if err != nil {
				yield(events.Event{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// begin looks at the log for the first time.
func (d *direct) begin(ctx context.Context) error {
	i, err := d.log.info(ctx)
	if err != nil {
		return err
	}
	d.id = identity(i)
	if err := d.known(i); err != nil {
		return err
	}
	d.inbox = d.log.nc.NewInbox()
	if d.sub, err = d.log.nc.SubscribeSync(d.inbox + ".*"); err != nil {
		return fmt.Errorf("read after %d: %w", d.at, err)
	}
	return nil
}

// known takes what a stream says of itself.
func (d *direct) known(i *jetstream.StreamInfo) error {
	if id := identity(i); id != d.id {
		return events.Rewritten(d.at, fmt.Sprintf("the stream was made again: it was %s and is %s", d.id, id))
	}
	d.end = max(d.end, events.Seq(i.State.LastSeq))
	if last := events.Seq(i.State.LastSeq); d.at > last {
		return events.Truncated(d.at, last)
	}
	return nil
}

// batch asks for what is after at and yields it. It reports whether the reader
// wants more.
func (d *direct) batch(ctx context.Context, yield func(events.Event, error) bool) (more bool, err error) {
	from := d.at
	if err := d.ask(); err != nil {
		return d.again(ctx, err)
	}
	for {
		m, err := d.receive(ctx)
		if err != nil {
			return d.again(ctx, err)
		}
		if m == nil {
			break
		}
		e, err := d.event(m)
		if err != nil {
			return false, err
		}
		if !yield(e, nil) {
			return false, nil
		}
	}
	if d.at > from {
		return true, nil
	}
	if d.at < d.end {
		return d.missed(ctx, yield)
	}
	pause(ctx, directPoll)
	return true, d.look(ctx)
}

// ask sends the request for a batch.
func (d *direct) ask() error {
	body, err := json.Marshal(struct {
		Seq   events.Seq `json:"seq"`
		Batch int        `json:"batch"`
		Bytes int        `json:"max_bytes"`
	}{d.at + 1, directBatch, directBytes})
	if err != nil {
		return err
	}
	d.tries++
	return d.log.nc.PublishMsg(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + d.log.subjects.Stream(), Reply: d.reply(), Data: body})
}

// reply is where the answers to the last request come; those to earlier ones are
// dropped.
func (d *direct) reply() string { return d.inbox + "." + strconv.Itoa(d.tries) }

// receive returns the next message of the batch, nil at its end.
func (d *direct) receive(ctx context.Context) (*nats.Msg, error) {
	for {
		wait, cancel := context.WithTimeout(ctx, directTimeout)
		m, err := d.sub.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			return nil, err
		}
		if m.Subject != d.reply() {
			continue
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			return m, nil
		case statusNone, statusEnd:
			return nil, nil
		case "503":
			return nil, nats.ErrNoResponders
		default:
			return nil, fmt.Errorf("the server answers %s %s", status, m.Header.Get("Description"))
		}
	}
}

// event turns a message into the next event.
func (d *direct) event(m *nats.Msg) (e events.Event, err error) {
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return e, fmt.Errorf("read after %d: %w", d.at, err)
	}
	stored, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return e, fmt.Errorf("read after %d: %w", d.at, err)
	}
	if events.Seq(seq) != d.at+1 {
		return e, events.Gap(d.at+1, events.Seq(seq))
	}
	return d.take(message{Subject: m.Header.Get(jetstream.SubjectHeader), Seq: events.Seq(seq), Data: m.Data, Time: stored}), nil
}

func (d *direct) take(m message) events.Event {
	d.at = m.Seq
	d.end = max(d.end, d.at)
	return m.event()
}

// again pauses after an error that passes.
func (d *direct) again(ctx context.Context, err error) (bool, error) {
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case d.log.nc.IsClosed():
		return false, fmt.Errorf("read after %d: %w", d.at, err)
	case errors.Is(err, events.ErrUnavailable) && d.tail:
	case !passes(err) && !errors.Is(err, nats.ErrSlowConsumer):
		return false, fmt.Errorf("read after %d: %w", d.at, err)
	}
	pause(ctx, directPoll)
	return true, d.look(ctx)
}

// missed asks the leader for an event that the log has, and a replica has not.
func (d *direct) missed(ctx context.Context, yield func(events.Event, error) bool) (bool, error) {
	m, ok, err := d.log.stored(ctx, lookup{Seq: d.at + 1})
	switch {
	case err != nil:
		return d.again(ctx, err)
	case !ok:
		return false, events.Gap(d.at+1, d.end+1)
	}
	return yield(d.take(m), nil), nil
}

// look checks that the stream is still the one that is read.
func (d *direct) look(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	i, err := d.log.look(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return events.Rewritten(d.at, "the stream is gone")
	case err != nil && d.log.nc.IsClosed():
		return fmt.Errorf("read after %d: %w", d.at, err)
	case err != nil:
		return nil
	}
	return d.known(i)
}
