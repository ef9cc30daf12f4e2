package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// How a log is read without a consumer.
const (
	// Messages asked for at once: at first one, since who looks at one event wants no
	// more and gets all that was asked for, then more and more.
	directBatch = 2000
	directMore  = 45
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
	*place
	tail  bool
	from  events.Seq // the place when the batch under way was asked for
	asked bool       // a batch is under way
	batch int        // messages of it
	inbox string
	sub   *nats.Subscription // nil until the first batch
	tries int
}

func (d *direct) close() {
	if d.sub != nil {
		_ = d.sub.Unsubscribe() // the connection may be gone
	}
}

func (d *direct) next(ctx context.Context) (events.Event, error) {
	for {
		m, err := d.message(ctx)
		switch {
		case m != nil:
			return d.event(m)
		case err == nil && d.at > d.from: // the batch is over, and more may follow
			continue
		case err == nil && d.at < d.end: // the log has an event that a replica has not
			m, ok, lost := d.log.stored(ctx, lookup{Seq: d.at + 1})
			if lost == nil && !ok {
				return events.Event{}, events.Gap(d.at+1, d.end+1)
			}
			if err = lost; err == nil {
				return d.take(m), nil
			}
		}
		if err := d.again(ctx, err); err != nil {
			return events.Event{}, err
		}
	}
}

// message returns the next message of a batch, nil at its end. It asks for a batch
// if none is under way.
func (d *direct) message(ctx context.Context) (m *nats.Msg, err error) {
	if !d.asked {
		if err := d.ask(); err != nil {
			return nil, err
		}
	}
	m, err = d.receive(ctx)
	d.asked = m != nil
	return m, err
}

// ask sends the request for a batch.
func (d *direct) ask() (err error) {
	if d.sub == nil {
		d.inbox = d.log.nc.NewInbox()
		if d.sub, err = d.log.nc.SubscribeSync(d.inbox + ".*"); err != nil {
			return err
		}
	}
	d.batch = min(max(1, d.batch*directMore), directBatch)
	body, err := json.Marshal(struct {
		Seq   events.Seq `json:"seq"`
		Batch int        `json:"batch"`
		Bytes int        `json:"max_bytes"`
	}{d.at + 1, d.batch, directBytes})
	if err != nil {
		return err
	}
	d.tries++
	d.from = d.at
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

// again returns nil after a pause if there is no error, or one that passes, and the
// stream is still the one that is read; else the error that ends the pass.
func (d *direct) again(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil, errors.Is(err, events.ErrUnavailable) && d.tail:
	case d.log.nc.IsClosed(), !passes(err) && !errors.Is(err, nats.ErrSlowConsumer):
		return fmt.Errorf("read after %d: %w", d.at, err)
	}
	pause(ctx, directPoll)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	retry, err := d.look(ctx)
	if retry {
		return nil
	}
	return err
}
