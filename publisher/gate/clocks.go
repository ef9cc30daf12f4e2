package gate

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

)

// Rules about the clocks of sources.
const (
	clockOff  = time.Minute // from which on a source is told that its clock is off
	clockSure = 8           // so many events in a row have to be that old: one may just be late
	// maxSubjects bounds of how many subjects it is remembered when they were last
	// told; then all are forgotten.
	maxSubjects = 1 << 16
)

// clocks remember when sources have told what, by their own clocks.
type clocks struct {
	mu   sync.Mutex
	last map[[2]string]time.Time // by source and subject: the latest time that was told
	old  map[string]int          // by source: its last events that were all old
}

func newClocks() clocks { return clocks{last: map[[2]string]time.Time{}, old: map[string]int{}} }

// timely marks an event that is older than what its source has told of the same
// thing, and tells the source if its clock is off. It is taken all the same.
func (g *Gate) timely(t *told) {
	at := t.event.Time
	if at.IsZero() {
		return
	}
	g.clocks.mu.Lock()
	defer g.clocks.mu.Unlock()
	key := [2]string{t.by.Name, t.event.Subject}
	switch last := g.clocks.last[key]; {
	case at.Before(last):
		t.late = true
		t.warn("it is late: " + last.UTC().Format(time.RFC3339Nano) + " was told of the same before; it was taken, and marked")
		g.counts.add(t.by.Name, "late", 1)
	default:
		if len(g.clocks.last) >= maxSubjects {
			clear(g.clocks.last)
		}
		g.clocks.last[key] = at
	}
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

type fingerprint = [sha256.Size]byte

// maxPrints bounds how many events are remembered for what they said; the log has
// what others said.
const maxPrints = 1 << 15

// prints remember what the last events said.
type prints struct {
	mu         sync.Mutex
	known, old map[ulid.ULID]fingerprint
}

func (p *prints) get(id ulid.ULID) (fingerprint, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.known[id]; ok {
		return f, true
	}
	f, ok := p.old[id]
	return f, ok
}

func (p *prints) put(id ulid.ULID, f fingerprint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxPrints {
		p.old, p.known = p.known, map[ulid.ULID]fingerprint{}
	}
	p.known[id] = f
}

// counts are what became of events, for /metrics.
type counts struct {
	mu    sync.Mutex
	by    map[[2]string]uint64 // by source, and what became of the event
	times [len(answerBounds) + 1]uint64
	sum   time.Duration
}

// answerBounds are the bounds of the histogram of answers.
var answerBounds = [...]time.Duration{time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second}

func (c *counts) add(source, what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[[2]string]uint64{}
	}
	c.by[[2]string{source, what}] += uint64(n)
}

func (c *counts) took(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := 0
	for i < len(answerBounds) && d > answerBounds[i] {
		i++
	}
	c.times[i]++
	c.sum += d
}

// Figures are what a gate has done since it was made.
type Figures struct {
	Events  map[[2]string]uint64 // by source and outcome: accepted, duplicate, refused, failed, busy, late
	Open    map[string]int       // events under way, by source
	Answers map[float64]uint64   // cumulative, by the bound in seconds
	Count   uint64               // of answers
	Sum     float64              // of their seconds
}

// Figures returns what the gate has done.
func (g *Gate) Figures() Figures {
	f := Figures{Open: map[string]int{}, Answers: map[float64]uint64{}}
	g.mu.Lock()
	for name, q := range g.queues {
		f.Open[name] = q.open()
	}
	g.mu.Unlock()
	c := &g.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	f.Events, f.Sum = maps.Clone(c.by), c.sum.Seconds()
	for i, n := range c.times {
		if f.Count += n; i < len(answerBounds) {
			f.Answers[answerBounds[i].Seconds()] = f.Count
		}
	}
	return f
}

