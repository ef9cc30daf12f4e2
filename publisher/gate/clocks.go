package gate

import (
	"fmt"
	"maps"
	"sync"
	"time"
)

// Rules about the clocks of sources.
const (
	clockOff  = time.Minute // from which on a source is told that its clock is off
	clockSure = 8           // so many events in a row have to be that old: one may just be late
)

// clocks remember which sources have a clock that seems to be off.
type clocks struct {
	mu  sync.Mutex
	old map[string]int // by source: its last events that were all old
}

// timely marks an event that is older than what its source has told of the same
// thing, also earlier in the same batch, and tells the source if its clock is off. It
// is taken all the same.
func (g *Gate) timely(t *told, now *overlay) {
	at := t.event.Time
	if at.IsZero() {
		return
	}
	last := g.config.State.ToldLast(t.by.Name, t.event.Subject)
	if of := now.times[t.event.Subject]; of.After(last) {
		last = of
	}
	if t.late = at.Before(last); t.late {
		t.warn("it is late: " + last.UTC().Format(time.RFC3339Nano) + " was told of the same before; it was taken, and marked")
	} else {
		now.times[t.event.Subject] = at
	}
	g.clocks.mu.Lock()
	defer g.clocks.mu.Unlock()
	behind := t.now.Sub(at)
	if behind <= clockOff {
		g.clocks.old[t.by.Name] = 0
	} else {
		g.clocks.old[t.by.Name]++
	}
	switch {
	case behind < -clockOff:
		t.warn(fmt.Sprintf("the clock of the source is %s ahead of this one", (-behind).Round(time.Second)))
	case g.clocks.old[t.by.Name] >= clockSure:
		t.warn(fmt.Sprintf("the clock of the source seems to be %s behind this one: its last events all were", behind.Round(time.Second)))
	}
}

// slow is from which time on an answer counts as slow.
const slow = 250 * time.Millisecond

// Outcome is what became of events of a source.
type Outcome struct{ Source, What string }

// Figures are what a gate has done since it was made.
type Figures struct {
	// Events by what became of them: accepted, duplicate, refused, failed, busy; and
	// late, which are among the accepted.
	Events  map[Outcome]uint64
	Open    map[string]int // events under way, by source
	Answers uint64         // messages that were answered,
	Seconds float64        // how long that took in all,
	Slow    uint64         // and how many took longer than a quarter of a second
}

// counts are what became of events, for /metrics.
type counts struct {
	mu sync.Mutex
	f  Figures
}

func (c *counts) add(source, what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.f.Events == nil {
		c.f.Events = map[Outcome]uint64{}
	}
	c.f.Events[Outcome{source, what}] += uint64(n)
}

func (c *counts) took(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.f.Answers++
	c.f.Seconds += d.Seconds()
	if d > slow {
		c.f.Slow++
	}
}

// Figures returns what the gate has done.
func (g *Gate) Figures() Figures {
	open := map[string]int{}
	g.mu.Lock()
	for name, q := range g.queues {
		open[name] = q.open()
	}
	g.mu.Unlock()
	g.counts.mu.Lock()
	defer g.counts.mu.Unlock()
	f := g.counts.f
	f.Events, f.Open = maps.Clone(f.Events), open
	return f
}
