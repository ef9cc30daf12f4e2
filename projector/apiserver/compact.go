package apiserver

import (
	"context"
	"time"

	"rollcall/projector/table"
)

// How long tables remember changes, as an API server has its etcd compacted:
// memory does not stay at what the busiest hour has needed.
const (
	historyKept  = 5 * time.Minute
	compactEvery = time.Minute
)

// compactor makes tables forget changes that are older than historyKept.
type compactor struct {
	tables map[string]*table.Table
	marks  []mark // oldest first
}

// mark is the revision that each table had at an instant.
type mark struct {
	at   time.Time
	revs map[string]uint64
}

// step notes how far the tables are, and forgets what was there historyKept ago.
func (c *compactor) step(now time.Time) {
	m := mark{now, map[string]uint64{}}
	for name, t := range c.tables {
		m.revs[name] = t.Last()
	}
	c.marks = append(c.marks, m)
	old := 0
	for old < len(c.marks) && now.Sub(c.marks[old].at) >= historyKept {
		old++
	}
	if old == 0 {
		return
	}
	for name, rev := range c.marks[old-1].revs {
		c.tables[name].Compact(rev)
	}
	c.marks = c.marks[old:]
}

// run compacts until ctx is done.
func (c *compactor) run(ctx context.Context) {
	tick := time.NewTicker(compactEvery)
	defer tick.Stop()
	for {
		c.step(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
