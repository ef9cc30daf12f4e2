package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// Young is how long an event is kept at least after it was stored. Who appends
// has seen all that was stored some 30 seconds before (drive has the proof), and a
// process that stands still for a few minutes has lost its connection: so of a
// subject that somebody is about to write, nothing is ever purged that he has not
// seen, and his fence still says what it said.
const Young = 10 * time.Minute

// seen takes over where a stream begins.
func (l *Log) seen(i *jetstream.StreamInfo) { l.first.Store(i.State.FirstSeq) }

// before is the position before the first event that a stream has.
func before(i *jetstream.StreamInfo) events.Seq { return events.Seq(max(i.State.FirstSeq, 1) - 1) }

// fence returns the expectation of an append as the server counts: of a subject
// whose last event was purged it knows none.
func (l *Log) fence(x events.Expect) events.Expect {
	if uint64(x.Last) < l.first.Load() {
		x.Last = 0
	}
	return x
}

// blind refuses what is fenced by somebody who has not read up to where the log
// begins.
func (l *Log) blind(ms []fencedMsg) error {
	first := events.Seq(l.first.Load())
	for _, m := range ms {
		if m.expect.Subject != "" && m.seen > 0 && m.seen+1 < first {
			return fmt.Errorf("append to %s: read up to #%d, and the log begins at #%d: %w", m.subject, m.seen, first, events.ErrConflict)
		}
	}
	return nil
}

// moved looks, after a refusal, whether the stream begins later than was known: a
// fence then says the same in other words, and is worth another try.
func (l *Log) moved(ctx context.Context, b *batch) bool {
	was := l.first.Load()
	if _, err := l.look(ctx); err != nil {
		return false
	}
	is := l.first.Load()
	for _, m := range b.msgs {
		if last := uint64(m.expect.Last); m.expect.Subject != "" && last >= was && last < is {
			return true
		}
	}
	return false
}

// Purge removes the events before a position. What is removed has to be somewhere
// else, and a keyframe of that position beside the log. E-ARCHIVE-DENIED says that
// the stream or the permissions of the connection do not let anybody purge.
func (l *Log) Purge(ctx context.Context, to events.Seq) error {
	st, err := l.js.Stream(ctx, l.subjects.Stream())
	if err != nil {
		return fmt.Errorf("purge stream %s: %w", l.subjects.Stream(), err)
	}
	if st.CachedInfo().Config.DenyPurge {
		return denied(l.subjects.Stream(), "the stream was made by an older rollcall, which let nobody purge it, and that cannot be taken back",
			"make a recording with rollcall record export, and a directory of it with rollcall record import")
	}
	err = st.Purge(ctx, jetstream.WithPurgeSequence(uint64(to)))
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("purge stream %s: %w", l.subjects.Stream(), err)
	}
	return l.purged(ctx, to)
}

// purgeWait is how long a log whose server answers may stay as it was after a purge.
// It is no constant, since a test does not wait so long.
var purgeWait = 10 * time.Second

// Times of a wait for a purge.
const (
	purgeLook  = 100 * time.Millisecond // between two looks
	purgeLimit = 5 * time.Minute        // until a server that answers nothing is given up
)

// purged waits until the log begins at a position. A server that removes a million
// events answers late, and nothing else meanwhile; one that does not let this user
// purge never answers that, and leaves the log as it is.
func (l *Log) purged(ctx context.Context, to events.Seq) error {
	asked := time.Now()
	answered := time.Time{} // since when it answers
	for {
		i, err := l.look(ctx)
		switch now := time.Now(); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!errors.Is(err, context.DeadlineExceeded) || now.Sub(asked) > purgeLimit):
			return fmt.Errorf("purge stream %s: %w", l.subjects.Stream(), err)
		case err != nil:
			answered = time.Time{}
		case before(i)+1 >= to:
			return nil
		case answered.IsZero():
			answered = now
		case now.Sub(answered) > purgeWait:
			return denied(l.subjects.Stream(), fmt.Sprintf("it begins at %d still: this user may not purge the stream", before(i)+1), "give the credentials of the user that rollcall up has")
		}
		select {
		case <-time.After(purgeLook):
		case <-ctx.Done():
		}
	}
}

func denied(stream, why, do string) error {
	return &events.Error{Code: "E-ARCHIVE-DENIED", What: "the log cannot be purged", Where: "stream " + stream, Why: why, Do: do, Exit: events.ExitInput}
}
