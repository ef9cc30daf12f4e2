package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// How a log that does not answer is looked after.
const (
	probeTimeout = 2 * time.Second
	// A refusal for want of room is believed for so long, unless an append is
	// taken before.
	fullFor = 5 * time.Second
	// A follower that the leader has not heard of for longer does not count.
	quiet = 10 * time.Second
)

// fullNote is a refusal of the server for want of room.
type fullNote struct {
	err *events.Error
	at  time.Time
}

// Health returns nil if the log takes events as far as is known, and else why it
// does not: E-LOG-FULL, E-LOG-QUORUM or E-LOG-UNREACHABLE, an *events.Error. It
// asks nobody over the network and never waits.
func (l *Log) Health() error {
	if e := l.ill.Load(); e != nil {
		return e
	}
	if l.nc.Status() != nats.CONNECTED {
		return l.away(l.nc.LastError())
	}
	if l.room != nil {
		if err := l.room(0); err != nil {
			return err
		}
	}
	if f := l.full.Load(); f != nil && time.Since(f.at) < fullFor {
		return f.err
	}
	return nil
}

// refusal returns why an append of n bytes need not be tried, or nil.
func (l *Log) refusal(n int) error {
	if e := l.ill.Load(); e != nil {
		return e
	}
	if l.room == nil {
		return nil
	}
	return l.room(int64(n))
}

// note remembers what an answer to an append tells of the room that there is.
func (l *Log) note(err error) {
	var e *events.Error
	switch {
	case err == nil:
		l.full.Store(nil)
	case errors.As(err, &e) && e.Code == "E-LOG-FULL":
		l.full.Store(&fullNote{e, time.Now()})
	}
}

// away returns what it means that the log does not answer.
func (l *Log) away(cause error) *events.Error {
	why := "no answer in time"
	if cause != nil {
		why = cause.Error()
	}
	where := "stream " + l.subjects.Stream()
	if l.nc.Status() == nats.CONNECTED && (l.replicas.Load() > 1 || l.nc.ConnectedClusterName() != "") {
		return events.NoQuorum(where, why)
	}
	return events.Unreachable(where, why)
}

// trip remembers that the log does not answer, so that others need not find out
// by waiting, and watches for it to come back.
func (l *Log) trip(cause error) *events.Error {
	e := l.away(cause)
	if l.ill.CompareAndSwap(nil, e) {
		go l.watchBack(l.nc.StatusChanged(nats.CLOSED))
	}
	return e
}

// watchBack ends when the log answers again or the connection is closed.
func (l *Log) watchBack(closed chan nats.Status) {
	defer l.nc.RemoveStatusListener(closed)
	for wait := firstPause; !l.nc.IsClosed(); wait = min(2*wait, lastPause) {
		select {
		case <-time.After(wait):
		case <-closed:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
		i, err := l.look(ctx)
		cancel()
		if err == nil && agrees(i.Cluster) || errors.Is(err, jetstream.ErrStreamNotFound) {
			l.ill.Store(nil)
			return
		}
		// Why it is away may have changed: the connection is back, a majority not.
		l.ill.Store(l.away(err))
	}
}

// agrees reports whether the leader of a stream hears of enough followers.
func agrees(c *jetstream.ClusterInfo) bool {
	if c == nil {
		return true
	}
	there := 1
	for _, p := range c.Replicas {
		if !p.Offline && p.Active < quiet {
			there++
		}
	}
	return c.Leader != "" && there > (1+len(c.Replicas))/2
}

// errAlone says that a leader describes its stream and can write nothing to it.
var errAlone = errors.New("the leader of the stream hears of no majority")

// passing are the refusals of a server that starts, or has no leader: answers
// are incomplete, JetStream is not available, this server does not lead, JetStream
// is not enabled yet.
var passing = []int{10004, 10008, 10009, 10076}

// passes reports whether an error may be one of a server that starts, or of
// servers that choose a leader.
func passes(err error) bool {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return false
	case errors.As(err, &api):
		return slices.Contains(passing, int(api.ErrorCode)) || api.ErrorCode == codeNoPeers && waitsForPeers(api)
	case errors.Is(err, errAlone), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrStaleConnection):
		return true
	}
	return false
}

// patiently calls try until it succeeds or fails for good, for as long as one
// answer may take; then the log does not answer.
func (l *Log) patiently(ctx context.Context, try func(context.Context) error) error {
	if e := l.ill.Load(); e != nil {
		return e
	}
	within, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		err := try(within)
		if err == nil || !passes(err) {
			return err
		}
		pause(within, wait)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		if within.Err() != nil {
			return l.trip(err)
		}
	}
}
