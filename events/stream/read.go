package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// How a log is read.
const (
	window    = 5000 // messages asked for ahead; the client's default of 500 reads a third slower
	heartbeat = time.Second
	// A consumer that nobody pulls from is gone after this.
	inactive = 30 * time.Second
	// Pauses between tries to reach the server again.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// Read implements events.Reader.
func (l *Log) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return l.read(ctx, after, false)
}

// Tail implements events.Tailer. It goes on over reconnections and restarts of
// the server, and ends if the stream was made again.
func (l *Log) Tail(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return l.read(ctx, after, true)
}

func (l *Log) read(ctx context.Context, after events.Seq, tail bool) iter.Seq2[events.Event, error] {
	if l.direct {
		return l.readDirect(ctx, after, tail)
	}
	return func(yield func(events.Event, error) bool) {
		r := &reader{log: l, at: after, tail: tail}
		defer r.close()
		if err := r.begin(ctx); err != nil {
			yield(events.Event{}, err)
			return
		}
		for tail || r.at < r.end {
			e, err := r.next(ctx)
			if err != nil {
				yield(events.Event{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// reader is one pass over the log. It uses plain pull consumers and not the
// client's ordered one, which makes a new consumer without a look at whether
// the stream is still the same.
type reader struct {
	log  *Log
	tail bool
	id   string     // of the stream that is read
	at   events.Seq // last position yielded
	end  events.Seq // last position that the log is known to have

	name     string // of the consumer
	messages jetstream.MessagesContext
	received uint64 // messages from this consumer
}

// begin looks at the log for the first time.
func (r *reader) begin(ctx context.Context) error {
	i, err := r.log.info(ctx)
	if err != nil {
		return err
	}
	r.id, r.end = identity(i), events.Seq(i.State.LastSeq)
	if r.at > r.end {
		return events.Truncated(r.at, r.end)
	}
	return nil
}

// next returns the event after at, and waits for it.
func (r *reader) next(ctx context.Context) (events.Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return events.Event{}, err
		}
		if r.messages == nil {
			if err := r.open(ctx); err != nil {
				return events.Event{}, err
			}
		}
		m, err := r.messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			// A lost consumer, server or connection: begin again after at.
			if r.received == 0 {
				pause(ctx, firstPause)
			}
			r.close()
			continue
		}
		e, ok, err := r.take(m)
		if err != nil || ok {
			return e, err
		}
		r.close()
	}
}

// take turns a message into the next event. It is not ok if the consumer lost a
// message on the way, which is no loss of the log.
func (r *reader) take(m jetstream.Msg) (e events.Event, ok bool, err error) {
	meta, err := m.Metadata()
	if err != nil {
		return e, false, fmt.Errorf("read after %d: %w", r.at, err)
	}
	if meta.Sequence.Consumer != r.received+1 {
		return e, false, nil
	}
	r.received++
	seq := events.Seq(meta.Sequence.Stream)
	if seq != r.at+1 {
		return e, false, events.Gap(r.at+1, seq)
	}
	e = events.Decode(m.Data())
	e.Seq, e.Stored, e.Subject = seq, meta.Timestamp.UTC(), m.Subject()
	r.at = seq
	if meta.NumPending == 0 && r.at < r.end {
		// Events that were there are not: nothing would come to show the gap.
		// A new consumer counts again, and then it is certain.
		r.close()
	}
	r.end = max(r.end, r.at)
	return e, true, nil
}

// open makes a consumer after at, once the server answers.
func (r *reader) open(ctx context.Context) error {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		retry, err := r.tryOpen(ctx)
		if err == nil || !retry {
			return err
		}
		if r.log.nc.IsClosed() {
			return fmt.Errorf("read after %d: %w", r.at, err)
		}
		pause(ctx, wait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// pause waits for d or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// tryOpen checks that the stream is the one that was read so far, and makes a
// consumer. retry says that the error may pass.
func (r *reader) tryOpen(ctx context.Context) (retry bool, err error) {
	i, err := r.log.look(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, events.Rewritten(r.at, "the stream is gone")
	}
	if err != nil {
		return true, err
	}
	if id := identity(i); id != r.id {
		return false, events.Rewritten(r.at, fmt.Sprintf("the stream was made again: it was %s and is %s", r.id, id))
	}
	last := events.Seq(i.State.LastSeq)
	if r.at > last {
		return false, events.Truncated(r.at, last)
	}
	r.log.replicas.Store(int32(i.Config.Replicas))
	c, err := r.log.js.CreateConsumer(ctx, r.log.subjects.Stream(), jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       uint64(r.at) + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: inactive,
		MemoryStorage:     true,
		Replicas:          1,
	})
	if err != nil {
		return true, fmt.Errorf("read after %d: %w", r.at, err)
	}
	r.name, r.received, r.end = c.CachedInfo().Name, 0, max(r.end, last)
	if c.CachedInfo().NumPending == 0 && r.at < r.end {
		return false, events.Gap(r.at+1, r.end+1)
	}
	r.messages, err = c.Messages(jetstream.PullMaxMessages(window), jetstream.PullHeartbeat(heartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	return true, err
}

// close ends the consumer. It does not wait for the server, which may be gone.
func (r *reader) close() {
	if r.messages != nil {
		r.messages.Stop()
		r.messages = nil
	}
	if r.name != "" {
		// Without an answer: the server forgets it anyway once it is inactive.
		_ = r.log.nc.PublishMsg(&nats.Msg{Subject: "$JS.API.CONSUMER.DELETE." + r.log.subjects.Stream() + "." + r.name})
		r.name = ""
	}
}
