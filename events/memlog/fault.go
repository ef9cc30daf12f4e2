package memlog

import (
	"errors"
	"fmt"

	"rollcall/events"
)

// ErrRefused is the error of an append that was refused by a fault.
var ErrRefused = errors.New("the log refuses appends")

// Fault is what goes wrong with one append.
type Fault int

// The faults of an append.
const (
	None       Fault = iota
	LoseAck          // the events are stored and ErrUnknown is returned
	LoseAppend       // nothing is stored and ErrUnknown is returned
	Refuse           // nothing is stored and ErrRefused is returned
)

// err returns the error of an append with the fault, and whether its events are
// stored all the same.
func (f Fault) err() (err error, stored bool) {
	switch f {
	case LoseAck, LoseAppend:
		return fmt.Errorf("append: %w", events.ErrUnknown), f == LoseAck
	case Refuse:
		return fmt.Errorf("append: %w", ErrRefused), false
	}
	return nil, true
}

// Inject asks next before each append what goes wrong with it; nil ends that.
// next must not call the log.
func (l *Log) Inject(next func(es []events.Entry) Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = next
}

// AppendRaw stores bytes that need not be an event, and returns their position.
func (l *Log) AppendRaw(subject string, raw []byte) events.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, record{subject: subject, stored: l.now(), raw: raw})
	at := l.last()
	l.latest[subject] = at
	l.changed.tell()
	return at
}

// Truncate loses the events after a position. Their positions are used again.
func (l *Log) Truncate(to events.Seq) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = l.records[:min(to-l.before, events.Seq(len(l.records)))]
	l.reindex()
}

// Remove loses the event at a position and leaves a gap.
func (l *Log) Remove(seq events.Seq) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[seq-l.before-1].removed = true
	l.reindex()
}

// Rewrite replaces the bytes at a position.
func (l *Log) Rewrite(seq events.Seq, raw []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[seq-l.before-1].raw = raw
	l.reindex()
}

// Recreate makes the log empty and another: Info gives another ID.
func (l *Log) Recreate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reset()
	l.changed.tell()
}

// reindex finds ids and subjects anew in what is left, as a server does that
// starts on a damaged store, and wakes tailers. The caller holds mu.
func (l *Log) reindex() {
	clear(l.first)
	clear(l.latest)
	for i, r := range l.records {
		if r.removed {
			continue
		}
		at := l.before + events.Seq(i+1)
		l.latest[r.subject] = at
		e := events.Decode(r.raw)
		if _, bad := e.Body.(events.Unreadable); bad {
			continue
		}
		if _, ok := l.first[e.ID]; !ok {
			l.first[e.ID] = at
		}
	}
	l.changed.tell()
}
