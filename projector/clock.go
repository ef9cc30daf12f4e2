package projector

import (
	"slices"
	"time"

	"rollcall/events"
)

// clock makes log time of the times at which believed events were stored.
// Those are read from the clock of a server, which may be put back, and from
// that of another server when the leader of a replicated log changes. Log time
// goes on by what passes between two events, and stands still over a step back;
// so nothing that waits in log time waits less for it, and nothing waits until
// a clock that was ahead is reached again.
//
// A leader that was behind is replaced some time, and then the log's clock
// makes up what it had stepped back. That is no silence: the clock of the
// source, which says when it saw what it tells, has not moved so far. What the
// log's clock gained on the source's is left out of log time, if it stepped
// back as far before.
type clock struct {
	now   time.Time       // log time; never before last
	last  time.Time       // when the last event was stored
	steps []time.Duration // back, that the log's clock has not made up; by size

	back    time.Duration            // the sum of steps
	sources map[string]time.Duration // by how much the log's clock, without its steps, is ahead of theirs
}

// Bounds of what is remembered: beyond them the smallest step is forgotten, and
// what further sources say is not compared.
const (
	maxSteps   = 64
	maxSources = 64
)

// tick moves log time on to an event.
func (c *clock) tick(e *events.Event) {
	passed := e.Stored.Sub(c.last)
	switch {
	case c.last.IsZero():
		c.now = e.Stored
	case passed < 0:
		gain, _ := c.gained(e)
		c.stepBack(max(-passed, -gain))
	default:
		if len(c.steps) > 0 {
			passed -= min(passed, c.madeUp(e, passed))
		}
		c.now = c.now.Add(passed)
	}
	c.last = e.Stored
	if _, ok := c.sources[e.Source]; ok || len(c.sources) < maxSources {
		c.sources[e.Source] = e.Stored.Sub(e.At) + c.back
	}
}

// stepBack notes a step back. It is longer than what the log shows by the time
// that passed meanwhile, which the source's clock tells.
func (c *clock) stepBack(by time.Duration) {
	i, _ := slices.BinarySearch(c.steps, by)
	c.steps = slices.Insert(c.steps, i, by)
	c.back += by
	if len(c.steps) > maxSteps {
		c.steps = slices.Delete(c.steps, 0, 1)
	}
}

// gained returns by how much the log's clock gained on that of the source of e
// since that was last heard. It is not known of a new source.
func (c *clock) gained(e *events.Event) (by time.Duration, known bool) {
	was, ok := c.sources[e.Source]
	if !ok {
		return 0, false
	}
	return e.Stored.Sub(e.At) + c.back - was, true
}

// madeUp returns how much of the time that passed up to e is of a clock that
// makes up its steps back, the largest first, and forgets those. Of a new
// source all that passed may be; the next event of another will tell.
func (c *clock) madeUp(e *events.Event, passed time.Duration) (by time.Duration) {
	gain, known := c.gained(e)
	if !known {
		gain = passed
	}
	for i := len(c.steps) - 1; i >= 0; i-- {
		step := c.steps[i]
		if step > gain-by {
			continue
		}
		by += step
		if known {
			c.back -= step
			c.steps = slices.Delete(c.steps, i, i+1)
		}
	}
	return by
}

// LogClock tells the present time as a log counts it: that of the last event,
// and what has passed here since it was observed. No clock is compared with
// another, so it does not matter what time it is here, or if that is put right.
type LogClock struct {
	State *State
	since time.Time // when the last event was observed; zero: none was
}

// Observe notes that the state's last event was observed at a time here.
func (c *LogClock) Observe(now time.Time) { c.since = now }

// LogTime returns the log time of a time here.
func (c *LogClock) LogTime(now time.Time) time.Time {
	if c.since.IsZero() {
		return now.UTC() // nothing in the log to wait for
	}
	return c.State.Time().Add(now.Sub(c.since))
}

// Local returns the time here of a log time that is still to come.
func (c *LogClock) Local(at time.Time) time.Time { return c.since.Add(at.Sub(c.State.Time())) }
