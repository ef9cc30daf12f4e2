package events

import (
	"context"
	"iter"
)

// Expect is the condition of an append: that the last event of Subject is at
// Last (0: that the subject has none). The zero Expect is no condition.
type Expect struct {
	Subject string
	Last    Seq
}

// Entry is an event to append, and its fence.
type Entry struct {
	Event
	Expect Expect
	// Seen is how far who appends had read the log when he read what he expects, or
	// less; 0: that is not told. A log whose beginning was archived after that refuses
	// a fence with ErrConflict: an event of the subject may be gone that was not seen.
	Seen Seq
	// Bound says that the id is appended under this expectation, which is of the
	// event's own subject, or not at all; a creation may move it behind a tombstone
	// of the subject. So what follows there says whether the event is in the log,
	// and a log that would know the id besides need not.
	Bound bool
}

// Appender appends to a log.
type Appender interface {
	// Append appends all of es, in order and without others between them, or
	// none, and returns the position of the last. It returns ErrConflict and
	// appends nothing if an expectation does not hold. Expectations are about
	// the log before the append: a subject that an entry writes cannot be
	// expected of by a later one, and no subject can be by two.
	//
	// An event whose ID is in the log already is not appended again, and its
	// expectation not looked at; the position of the first is returned. One that is
	// bound is known behind what it expects only.
	//
	// ErrUnknown: es may or may not be in the log. Append the same entries
	// again, or read the log to its end and decide again.
	//
	// ErrUnavailable: nothing was appended by this call, and nothing will be until
	// there is room or a server is back. Make a pause before you try again.
	Append(ctx context.Context, es ...Entry) (Seq, error)
}

// Reader reads a log to its present end.
type Reader interface {
	// Read yields the events after the given position up to the end that the
	// log has when Read is called, in order, each once. An error ends it:
	// ErrGap if a position is missing, ErrTruncated if the log ends before after.
	// Bytes that are no event are yielded with an Unreadable body.
	Read(ctx context.Context, after Seq) iter.Seq2[Event, error]
}

// Tailer reads a log and then waits for more.
type Tailer interface {
	// Tail yields events after the given position as they are appended. It
	// never yields an event twice, and never one older than it has yielded. It
	// ends with ctx's error, or with an error of Read.
	Tail(ctx context.Context, after Seq) iter.Seq2[Event, error]
}

// Info describes a log.
type Info struct {
	ID     string // of this incarnation: another log under the same name has another
	Last   Seq    // position of the last event; 0: empty
	Before Seq    // position before the first event that it has; 0: it has all
}

// Log is a whole log.
type Log interface {
	Appender
	Reader
	Tailer
	// Latest returns the newest event of a subject, also one that says Gone;
	// ok is false if the subject has none.
	Latest(ctx context.Context, subject string) (e Event, ok bool, err error)
	Info(ctx context.Context) (Info, error)
}
