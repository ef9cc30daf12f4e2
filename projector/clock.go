package projector

import (
	"slices"
	"time"

	"rollcall/events"
)

// clock makes log time of the times at which events were stored. Those are
// read from the clock of a server, which may be put back, and from that of
// another server when the leader of a replicated log changes. Log time goes on
// by what passes between two events, and stands still over a step back; so
// nothing that waits in log time waits less for it, and nothing waits until a
// clock that was ahead is reached again.
//
// A step forward cannot be told from a silence, but for one: where a clock
// comes back to a time at which it was before. That is a leader that was behind
// and is replaced, and the time that was put in for it is taken out again.
type clock struct {
	now  time.Time // log time; never before last
	last time.Time // when the last event was stored
	// Where the clock stepped back, earliest time last, and by how much.
	steps []step
}

type step struct {
	from time.Time
	by   time.Duration
}

// maxSteps bounds the steps back that are remembered. The oldest is forgotten
// first: then a later step forward over it counts as time.
const maxSteps = 64

// tick moves log time on to an event.
func (c *clock) tick(e events.Event) {
	at := e.Stored
	if c.last.IsZero() {
		c.now, c.last = at, at
		return
	}
	passed := at.Sub(c.last)
	if passed < 0 {
		if len(c.steps) == maxSteps {
			c.steps = slices.Delete(c.steps, 0, 1)
		}
		c.steps = append(c.steps, step{c.last, -passed})
		c.last = at
		return
	}
	c.last = at
	c.now = c.now.Add(passed - min(passed, c.regained(at), c.standing(e, passed)))
}

// regained returns the steps back that a clock has made up for that reads at,
// and forgets them.
func (c *clock) regained(at time.Time) (by time.Duration) {
	for n := len(c.steps) - 1; n >= 0 && !at.Before(c.steps[n].from); n-- {
		by += c.steps[n].by
		c.steps = c.steps[:n]
	}
	return by
}

// standing returns how much of the time that passed up to e the controller
// that wrote e did not see passing. It counts log time by a clock of its own
// from the last event on; if both say that time passed, it did.
func (c *clock) standing(e events.Event, passed time.Duration) time.Duration {
	if e.Source != events.SourceController {
		return passed
	}
	return max(0, passed-max(0, e.At.Sub(c.now)))
}
