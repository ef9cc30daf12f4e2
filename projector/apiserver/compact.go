package apiserver

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

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
	marks  []map[string]uint64 // the revisions of the tables at the last steps, oldest first
}

// step notes how far the tables are, and forgets what was there historyKept
// ago, if that is how many steps lie between.
func (c *compactor) step() {
	now := map[string]uint64{}
	for name, t := range c.tables {
		now[name] = t.Last()
	}
	c.marks = append(c.marks, now)
	if len(c.marks) <= int(historyKept/compactEvery) {
		return
	}
	for name, rev := range c.marks[0] {
		c.tables[name].Compact(rev)
	}
	c.marks = c.marks[1:]
}

// run compacts until ctx is done.
func (c *compactor) run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) { c.step() }, compactEvery)
}
