// Package drive is the engine of everybody who acts upon a log.
//
// Whoever acts is a party: a fold of the log that says what to append next.
// Parties are pure. Drive is the shell that reads the log once for all parties
// of a process, performs their steps and tells them what came of those. Nothing
// is remembered outside the log, so a party that is killed at any point goes on
// from there. A simulation drives the same parties by a clock that it plays.
//
// Submit is how events get into a log.
package drive

import (
	"context"
	"time"

	"rollcall/events"
)

// Party takes part in a log: it observes every event and says what to append.
// All its methods are called by one goroutine.
type Party interface {
	// Observe takes the next event, as it is to be believed, at the time now.
	Observe(e events.Event, now time.Time)
	// Due returns at most limit steps that are due at now, most urgent first.
	// Each has to be performed once; Done is told how it ended.
	Due(now time.Time, limit int) []Step
	// Next returns when Due will have steps if nothing is observed or done
	// until then; ok is false if it will not. A time that is past means now.
	Next() (at time.Time, ok bool)
	// Done is told how a step ended. ErrConflict means that the log moved on;
	// any other error that the step did not happen and is to be tried again.
	Done(s Step, err error, now time.Time)
}

// Step is one thing to do. Doing it twice has the effect of once.
type Step interface {
	// Perform does it. Steps are performed concurrently.
	Perform(ctx context.Context, log Log) error
}

// Fold is what a log is read into before parties observe it.
type Fold interface {
	// Begin is told of the log before the first event is taken, and returns the
	// position after which it is read: what was before is known already.
	Begin(events.Info) (after events.Seq, err error)
	// Take takes the next event, which comes right after the one before, and
	// returns it as it is to be believed. An error ends the reading.
	Take(e events.Event, now time.Time) (events.Event, error)
}

// screened is the fold of those who need no more of it than what to believe.
type screened struct {
	screen *events.Screen
	at     events.Seq
}

func (s *screened) Begin(events.Info) (events.Seq, error) { return 0, nil }

func (s *screened) Take(e events.Event, _ time.Time) (events.Event, error) {
	if e.Seq != s.at+1 {
		return e, events.Gap(s.at+1, e.Seq)
	}
	s.at = e.Seq
	return s.screen.Take(e), nil
}
