package informer

import (
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"rollcall/events"
	"rollcall/projector/table"
)

// registration is a handler and what it was told.
type registration struct {
	group  *Group
	table  *table.Table
	decode Decode
	stop   func()       // has it told nothing more
	calls  atomic.Int64 // of stir that deliver has not seen

	mu      sync.Mutex // held while the handler is told
	handler cache.ResourceEventHandler
	rev     uint64                     // told up to
	known   map[events.Key]*table.Item // that it was told of: the items of the table
}

func newRegistration(i *informer, h cache.ResourceEventHandler) *registration {
	return &registration{group: i.group, table: i.table, decode: i.indexer.decode, handler: h, known: map[events.Key]*table.Item{}}
}

// HasSynced implements cache.ResourceEventHandlerRegistration: it tells the
// handler what it was not told yet. A handler may not call it.
func (r *registration) HasSynced() bool {
	r.catchUp()
	return true
}

// HasSyncedChecker implements cache.ResourceEventHandlerRegistration.
func (r *registration) HasSyncedChecker() cache.DoneChecker {
	r.catchUp()
	return synced{}
}

// stir has the handler told, soon and by somebody else.
func (r *registration) stir() {
	if r.calls.Add(1) == 1 {
		r.group.run(r.deliver)
	}
}

// deliver tells until nobody has stirred meanwhile.
func (r *registration) deliver() {
	for n := int64(-1); !r.calls.CompareAndSwap(n, 0); {
		n = r.calls.Load()
		r.catchUp()
	}
}

// catchUp tells the handler all that has happened to the table.
func (r *registration) catchUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.rev < r.table.Last() {
		cs, _, _, ok := r.table.Since(r.rev)
		if r.rev == 0 || !ok {
			r.compare()
			continue
		}
		for _, c := range cs {
			r.became(c.Key, c.Now, false)
			r.rev = c.Rev
		}
	}
}

// compare tells what differs from what the handler knows.
func (r *registration) compare() {
	initial := r.rev == 0
	rows, rev := r.table.Snapshot()
	there := map[events.Key]bool{}
	rows.Scan(func(i *table.Item) bool {
		there[i.Key] = true
		r.became(i.Key, i, initial)
		return true
	})
	for key := range r.known {
		if !there[key] {
			r.became(key, nil, false)
		}
	}
	r.rev = rev
}

// became tells that an object is now so; nil: that it is gone.
func (r *registration) became(key events.Key, now *table.Item, initial bool) {
	was := r.known[key]
	if was == now {
		return
	}
	var is, old runtime.Object
	var err error
	if now != nil {
		if is, err = r.decode(now); err != nil {
			is, now = nil, nil // it cannot be read
		}
	}
	if was != nil {
		if old, err = r.decode(was); err != nil {
			old = nil // it could be read before: never so
		}
	}
	delete(r.known, key)
	if now != nil {
		r.known[key] = now
	}
	switch {
	case is != nil && old != nil:
		r.handler.OnUpdate(old, is)
	case is != nil:
		r.handler.OnAdd(is, initial)
	case old != nil:
		r.handler.OnDelete(old)
	}
}
