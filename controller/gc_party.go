package controller

import (
	"errors"
	"time"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/projector"
)

// GarbageCollector collects the objects that owners and nodes leave behind. Like
// Controller it is a drive.Party that reads a state.
type GarbageCollector struct {
	writer writer
	clock  projector.LogClock

	moved bool       // an event was observed since the last round
	under bool       // a plan is being appended
	after events.Seq // no plan is made before this position is folded
	tries int        // how many plans in a row could not be appended
	at    time.Time  // when time alone makes a plan due, in log time; zero: never
	round time.Time  // no round begins before this
}

// NewGarbageCollector returns a garbage collector that has observed nothing yet.
func NewGarbageCollector(s events.Subjects, state *projector.State, o Options) *GarbageCollector {
	return &GarbageCollector{writer: newWriter(s, o), clock: projector.LogClock{State: state}}
}

// Observe implements drive.Party.
func (c *GarbageCollector) Observe(_ events.Event, now time.Time) {

	c.clock.Observe(now)
	c.moved = true

}

// Next implements drive.Party.
func (c *GarbageCollector) Next() (time.Time, bool) {
	switch {
	case c.under || c.clock.State.Seq() < c.after:
		return time.Time{}, false
	case c.moved:
		return c.round, true
	case c.at.IsZero():
		return time.Time{}, false
	}
	return later(c.round, c.clock.Local(c.at)), true
}

// Due implements drive.Party: it is one round.
func (c *GarbageCollector) Due(now time.Time, limit int) []drive.Step {
	state := c.clock.State
	if now.Before(c.round) || limit == 0 || c.under || state.Seq() < c.after {
		return nil
	}
	c.round, c.moved = now.Add(roundInterval), false
	plan := PlanGC(state, c.clock.LogTime(now))
	c.at = GCDue(state)
	if plan == nil {
		return nil
	}
	c.under = true
	return []drive.Step{&step{writer: c.writer, at: state.Seq(), plan: plan, fence: state.LastPlan(events.Key{})}}
}

// Done implements drive.Party.
func (c *GarbageCollector) Done(done drive.Step, err error, now time.Time) {
	s := done.(*step)
	c.under, c.after = false, max(c.after, s.last)
	switch {
	case err == nil:
		c.tries = 0
		return
	case errors.Is(err, events.ErrConflict):
		c.after = max(c.after, s.at+1)
	default:
		c.round = now.Add(min(firstRetry<<min(c.tries, 10), lastRetry))
		c.tries++
	}
	c.moved = true
}
