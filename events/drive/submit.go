package drive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/events"
)

// Clock tells the time and lets it pass: the machine's, or one that is played.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or before that with ctx's error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Log is a log as its writers use it.
type Log struct {
	events.Log
	Clock Clock // nil: the machine's
	// GiveUp is asked after a try that the log did not answer or did not take:
	// an error ends the submission, which returns it. nil: it goes on as long
	// as its context.
	GiveUp func(err error) error
	Seen   events.Seq // Entry.Seen of all that is submitted
}

func (l Log) clock() Clock {
	if l.Clock == nil {
		return machine{}
	}
	return l.Clock
}

// Submit is Log.Submit by the machine's clock, as long as ctx lasts.
func Submit(ctx context.Context, log events.Log, es ...events.Entry) (events.Seq, error) {
	return Log{Log: log}.Submit(ctx, es...)
}

// Submit appends es until the log has said what became of them, and returns the
// position of the last. It waits longer between one try and the next. The time
// of the events is that of the try, because log time is told from it.
//
// That an entry expects a subject without events means that it has no object
// now: if its last event says that the object is gone, the entry is appended
// after that one. So nobody has to know where the objects ended that are no more.
//
// An error for which events.ErrUnknown holds, of a submission that was ended,
// says that es may be in the log all the same.
func (l Log) Submit(ctx context.Context, es ...events.Entry) (events.Seq, error) {
	creates := es // as they were: an entry stays one that creates
	es = slices.Clone(es)
	for i := range es {
		es[i].Seen = l.Seen
	}
	for {
		seq, err := l.insist(ctx, es)
		if !errors.Is(err, events.ErrConflict) {
			return seq, err
		}
		moved := false
		for i, c := range creates {
			if c.Expect.Subject == "" || c.Expect.Last != 0 {
				continue
			}
			last, ok, lerr := l.Latest(ctx, c.Expect.Subject)
			if lerr != nil {
				return 0, fmt.Errorf("latest event of %s: %w", c.Expect.Subject, lerr)
			}
			if ok && last.Seq != es[i].Expect.Last && tombstone(&last) {
				es[i].Expect.Last, moved = last.Seq, true
			}
		}
		if !moved {
			return 0, err
		}
	}
}

// tombstone reports whether an event says of its subject's object that it is
// gone, and can be believed.
func tombstone(e *events.Event) bool {
	_, gone := e.Body.(events.Gone)
	code, _ := events.Doubt(e)
	return gone && code == ""
}

// Pauses between two tries of one submission.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 2 * time.Second
)

// insist appends es until the log has said what became of them.
func (l Log) insist(ctx context.Context, es []events.Entry) (events.Seq, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		now := l.clock().Now()
		for i := range es {
			es[i].At = now
		}
		seq, err := l.Append(ctx, es...)
		if !errors.Is(err, events.ErrUnknown) && !errors.Is(err, events.ErrUnavailable) {
			return seq, err
		}
		if l.GiveUp != nil {
			if end := l.GiveUp(err); end != nil {
				return 0, end
			}
		}
		if end := l.clock().Sleep(ctx, pause); end != nil {
			return 0, errors.Join(err, end)
		}
	}
}

// machine is the clock of the machine.
type machine struct{}

func (machine) Now() time.Time { return time.Now() }

func (machine) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
