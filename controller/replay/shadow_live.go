package replay

import (
	"maps"
	"slices"
	"time"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
)

// Divergences is Diverge of a record that goes on: it counts what diverges as it is told.
// It has one user at a time.
type Divergences struct {
	w      *shadow
	last   events.Seq // that was taken
	judged time.Time  // when that was done the last time
	counts map[Divergence]int
}

// Divergence is a way in which something diverges.
type Divergence struct {
	Class Class
	Rule  controller.Rule // of rollcall's own, by which it would have waited; empty: none
}

// Times of Divergences.
const (
	// settled is how long after an act all that may explain it is in the log: who did it
	// says so within seconds, and another may have used up what was due up to slowest.
	settled = 2 * slowest
	// judgeEvery is how often acts are judged at most.
	judgeEvery = time.Second
)

// NewDivergences begins to compare after a state, which it takes over.
func NewDivergences(s *projector.State) *Divergences {
	s.Unchain()
	return &Divergences{w: newShadow(s, ShadowQuery{}), last: s.Seq(), counts: map[Divergence]int{}}
}

// Take takes the next event of the log.
func (c *Divergences) Take(e events.Event) {
	if e.Seq <= c.last {
		return
	}
	c.last = e.Seq
	for _, x := range c.w.order.take(e) {
		c.w.fold(x)
	}
	c.settle(e.Stored)
}

// Pass tells that the log has all that has happened up to a time.
func (c *Divergences) Pass(now time.Time) {
	c.w.until(now)
	c.settle(now)
}

// Counts returns how many divergences of each way were found.
func (c *Divergences) Counts() map[Divergence]int { return maps.Clone(c.counts) }

// settle judges and counts what was done long enough ago, and forgets what can explain
// nothing any more.
func (c *Divergences) settle(now time.Time) {
	if now.Sub(c.judged) < judgeEvery {
		return
	}
	c.judged = now
	w, ripe := c.w, now.Add(-settled)
	for _, a := range w.acts {
		if !a.Time.After(ripe) {
			w.judge(a, now)
		}
	}
	w.swap()
	for _, a := range w.acts {
		if a.Class.diverges() && !a.counted {
			a.counted = true
			c.counts[Divergence{a.Class, a.Rule}]++
		}
	}
	gone := ripe.Add(-settled)
	w.acts = slices.DeleteFunc(w.acts, func(a *act) bool { return a.Time.Before(gone) })
	w.evidence.forget(gone)
}
