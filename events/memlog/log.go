// Package memlog is an events.Log in memory, for tests and simulation.
//
// It keeps the encoded bytes of every event and decodes them on each read, so
// that what a reader sees has always been through the codec. It remembers the
// ids of all its events for ever, but no more of one that is bound than it has to. It has no clock of its own and starts no
// goroutine; all its methods may be called from several.
//
// Faults that a real log can have are made with Inject, Truncate, Remove,
// Rewrite and Recreate.
package memlog

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
)

// Log is an events.Log in memory.
type Log struct {
	subjects events.Subjects
	now      func() time.Time

	mu          sync.Mutex
	created     time.Time
	incarnation int
	before      events.Seq               // position before the first record
	records     []record                 // records[i] is position before+i+1
	first       map[ulid.ULID]events.Seq // where each id was appended
	latest      map[string]events.Seq
	fault       func([]events.Entry) Fault
	changed     broadcast
}

// record is one position of the log.
type record struct {
	subject string
	stored  time.Time
	raw     []byte
	removed bool // lost by a fault
	bound   bool // its id is known behind what was expected only
}

var _ events.Log = (*Log)(nil)

// New returns an empty log of the cluster of s. now gives the times at which
// events are stored.
func New(s events.Subjects, now func() time.Time) *Log {
	l := &Log{subjects: s, now: now, changed: newBroadcast()}
	l.reset()
	return l
}

// NewAfter returns a log that goes on after a position of another, of which it has
// nothing. What is appended under a fence that the other has, is taken.
func NewAfter(s events.Subjects, now func() time.Time, before events.Seq) *Log {
	l := New(s, now)
	l.before = before
	return l
}

// last returns the position of the last event. The caller holds mu.
func (l *Log) last() events.Seq { return l.before + events.Seq(len(l.records)) }

// moved reports whether a fence is lost. The caller holds mu.
func (l *Log) moved(x events.Expect) bool {
	at, known := l.latest[x.Subject]
	return at != x.Last && (known || x.Last > l.before)
}

// reset makes the log empty. The caller holds mu, or is New.
func (l *Log) reset() {
	l.created = l.now()
	l.incarnation++
	l.records = nil
	l.first = map[ulid.ULID]events.Seq{}
	l.latest = map[string]events.Seq{}
}

// Append implements events.Appender.
func (l *Log) Append(ctx context.Context, es ...events.Entry) (events.Seq, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	all, err := l.subjects.Encode(es...)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fault := None
	if l.fault != nil {
		fault = l.fault(es)
	}
	lost, stored := fault.err()
	if !stored {
		return 0, lost
	}
	at, err := l.store(all)
	if err != nil {
		return 0, err
	}
	return at, lost
}

// store stores those of all that are new, if what they expect holds, and returns
// the position of the last of all. The caller holds mu.
func (l *Log) store(all []events.Stored) (events.Seq, error) {
	fresh := false
	for _, r := range all {
		if l.known(r) {
			continue
		}
		fresh = true
		if x := r.Expect; x.Subject != "" && l.moved(x) {
			return 0, fmt.Errorf("append %d events: %s is at %d, expected at %d: %w",
				len(all), x.Subject, l.latest[x.Subject], x.Last, events.ErrConflict)
		}
	}
	stored := l.now()
	for _, r := range all {
		if l.known(r) {
			continue
		}
		l.records = append(l.records, record{subject: r.Subject, stored: stored, raw: r.Raw, bound: r.Bound})
		at := l.last()
		l.first[r.ID] = at
		l.latest[r.Subject] = at
	}
	if fresh {
		l.changed.tell()
	}
	return l.first[all[len(all)-1].ID], nil
}

// known reports whether an event is in the log, as far as its id has to tell it.
// The caller holds mu.
func (l *Log) known(r events.Stored) bool {
	at, ok := l.first[r.ID]
	if ok && (r.Bound || l.records[at-l.before-1].bound) {
		return r.Expect.Subject == r.Subject && at > r.Expect.Last
	}
	return ok
}

// at returns the event at a position that the log has. The caller holds mu.
func (l *Log) at(seq events.Seq) events.Event {
	r := l.records[seq-l.before-1]
	e := events.Decode(r.raw)
	e.Seq, e.Stored, e.Subject = seq, r.stored, r.subject
	return e
}

// next returns the event after a position; ok is false at the end. A log of
// another incarnation is another log, whatever its positions.
func (l *Log) next(after events.Seq, incarnation int) (e events.Event, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.last()
	switch {
	case incarnation != l.incarnation:
		return e, false, events.Rewritten(after, "the log was created again")
	case after > last:
		return e, false, events.Truncated(after, last)
	case after == last:
		return e, false, nil
	case after < l.before:
		return e, false, events.Gap(after+1, l.before+1)
	}
	if found := l.present(after + 1); found != after+1 {
		return e, false, events.Gap(after+1, found)
	}
	return l.at(after + 1), true, nil
}

// present returns the first position from seq that was not removed; after the
// last, one more. The caller holds mu.
func (l *Log) present(seq events.Seq) events.Seq {
	for seq <= l.last() && l.records[seq-l.before-1].removed {
		seq++
	}
	return seq
}

// Read implements events.Reader.
func (l *Log) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	l.mu.Lock()
	end, incarnation := l.last(), l.incarnation
	l.mu.Unlock()
	return func(yield func(events.Event, error) bool) {
		if after > end {
			yield(events.Event{}, events.Truncated(after, end))
			return
		}
		for at := after; at < end; at++ {
			e, ok, err := l.next(at, incarnation)
			if cause := ctx.Err(); cause != nil {
				err = cause
			}
			if err == nil && !ok {
				err = events.Truncated(end, at)
			}
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

// Latest implements events.Log.
func (l *Log) Latest(ctx context.Context, subject string) (events.Event, bool, error) {
	if err := ctx.Err(); err != nil {
		return events.Event{}, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := l.latest[subject]
	if seq == 0 {
		return events.Event{}, false, nil
	}
	return l.at(seq), true, nil
}

// Info implements events.Log.
func (l *Log) Info(ctx context.Context) (events.Info, error) {
	if err := ctx.Err(); err != nil {
		return events.Info{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return events.Info{
		ID:   fmt.Sprintf("%s@%d.%d", l.subjects.Stream(), l.created.UnixNano(), l.incarnation),
		Last: l.last(), Before: l.before,
	}, nil
}
