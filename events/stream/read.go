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
	return func(yield func(events.Event, error) bool) {
		p := &place{log: l, at: after}
		if err := p.begin(ctx); err != nil {
			yield(events.Event{}, err)
			return
		}
		var s source = &reader{place: p}
		if l.direct {
			s = &direct{place: p, tail: tail}
		}
		defer s.close()
		for tail || p.at < p.end {
			e, err := s.next(ctx)
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

// source is a way in which the events after a place come.
type source interface {
	// next returns the event after the place, waits for it, and moves the place there.
	next(ctx context.Context) (events.Event, error)
	close()
}

// place is how far a pass over the log has come.
type place struct {
	log *Log
	id  string     // of the stream that is read
	at  events.Seq // last position yielded
	end events.Seq // last position that the log is known to have
}

// begin looks at the log for the first time.
func (p *place) begin(ctx context.Context) error {
	i, err := p.log.info(ctx)
	if err != nil {
		return err
	}
	p.id = identity(i)
	return p.known(i)
}

// known takes what a stream says of itself, and returns an error if it is not
// the one that was read so far.
func (p *place) known(i *jetstream.StreamInfo) error {
	if id := identity(i); id != p.id {
		return events.Rewritten(p.at, fmt.Sprintf("the stream was made again: it was %s and is %s", p.id, id))
	}
	last := events.Seq(i.State.LastSeq)
	if p.at > last {
		return events.Truncated(p.at, last)
	}
	p.end = max(p.end, last)
	p.log.replicas.Store(int32(i.Config.Replicas))
	return nil
}

// look checks that the stream is the one that was read so far. retry says that
// the error may pass.
func (p *place) look(ctx context.Context) (retry bool, err error) {
	i, err := p.log.look(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return false, events.Rewritten(p.at, "the stream is gone")
	case err != nil:
		return true, err
	}
	return false, p.known(i)
}

// take moves the place to a message and returns its event.
func (p *place) take(m message) events.Event {
	p.at = m.Seq
	p.end = max(p.end, p.at)
	return m.event()
}

// reader is one pass over the log. It uses plain pull consumers and not the
// client's ordered one, which makes a new consumer without a look at whether
// the stream is still the same.
type reader struct {
	*place

	name     string // of the consumer
	messages jetstream.MessagesContext
	received uint64 // messages from this consumer
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
		e, ok, err := r.event(m)
		if err != nil || ok {
			return e, err
		}
		r.close()
	}
}

// event turns a message into the next event. It is not ok if the consumer lost a
// message on the way, which is no loss of the log.
func (r *reader) event(m jetstream.Msg) (e events.Event, ok bool, err error) {
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
	if meta.NumPending == 0 && seq < r.end {
		// Events that were there are not: nothing would come to show the gap.
		// A new consumer counts again, and then it is certain.
		r.close()
	}
	return r.take(message{Seq: seq, Subject: m.Subject(), Data: m.Data(), Time: meta.Timestamp}), true, nil
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
	if retry, err := r.look(ctx); err != nil {
		return retry, err
	}
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
	r.name, r.received = c.CachedInfo().Name, 0
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
