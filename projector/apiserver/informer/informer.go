// Package informer shows tables of objects to what Kubernetes wrote for
// client-go's informers: listers read the table, handlers are told what changes.
//
// An informer keeps no object and is never behind its table. It has a goroutine
// only while there is something that a handler was not told yet. Whoever asks a
// handler's registration whether it has synced has it told all up to then first:
// a decision that is made after a write knows of it.
package informer

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"rollcall/projector/table"
)

// Decode makes an object of what a table has. What it cannot make is not there
// for listers and handlers.
type Decode func(*table.Item) (runtime.Object, error)

// Group is informers that end together. The zero value is ready to use.
type Group struct {
	mu      sync.Mutex
	ended   bool
	stops   []func()
	running sync.WaitGroup
}

// Over returns an informer over a table.
func (g *Group) Over(t *table.Table, d Decode) cache.SharedIndexInformer {
	return &informer{group: g, table: t, indexer: &indexer{table: t, decode: d, by: cache.Indexers{}}}
}

// End has no handler told any more, and returns when none is being told.
func (g *Group) End() {
	g.mu.Lock()
	g.ended = true
	stops := g.stops
	g.stops = nil
	g.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	g.running.Wait()
}

// run runs f in a goroutine of its own, unless the group has ended.
func (g *Group) run(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.running.Go(f)
	}
}

// over reports whether the group has ended; until then it will call stop.
func (g *Group) over(stop func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.stops = append(g.stops, stop)
	}
	return g.ended
}

// informer is a cache.SharedIndexInformer over a table.
type informer struct {
	group   *Group
	table   *table.Table
	indexer *indexer
}

var errTable = errors.New("the objects are those of a table: they cannot be changed by an informer")

// AddEventHandler implements cache.SharedInformer. The handler is told what is
// there, and then what changes.
func (i *informer) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	r := newRegistration(i, h)
	r.stop = i.table.Tell(r.stir)
	if i.group.over(r.stop) {
		r.stop()
		return nil, errors.New("the informers have ended")
	}
	if n, _ := i.table.Size(); n > 0 {
		r.stir()
	}
	return r, nil
}

// AddEventHandlerWithResyncPeriod implements cache.SharedInformer: nothing is
// told twice.
func (i *informer) AddEventHandlerWithResyncPeriod(h cache.ResourceEventHandler, _ time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandler(h)
}

// AddEventHandlerWithOptions implements cache.SharedInformer.
func (i *informer) AddEventHandlerWithOptions(h cache.ResourceEventHandler, _ cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandler(h)
}

// RemoveEventHandler implements cache.SharedInformer.
func (i *informer) RemoveEventHandler(h cache.ResourceEventHandlerRegistration) error {
	if r, ok := h.(*registration); ok {
		r.stop()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.handler = cache.ResourceEventHandlerFuncs{}
	}
	return nil
}

// GetStore implements cache.SharedInformer.
func (i *informer) GetStore() cache.Store { return i.indexer }

// GetIndexer implements cache.SharedIndexInformer.
func (i *informer) GetIndexer() cache.Indexer { return i.indexer }

// AddIndexers implements cache.SharedIndexInformer.
func (i *informer) AddIndexers(by cache.Indexers) error { return i.indexer.AddIndexers(by) }

// GetController implements cache.SharedInformer.
func (i *informer) GetController() cache.Controller { return nil }

// Run implements cache.SharedInformer. There is nothing to run.
func (i *informer) Run(stop <-chan struct{}) { <-stop }

// RunWithContext implements cache.SharedInformer.
func (i *informer) RunWithContext(ctx context.Context) { <-ctx.Done() }

// HasSynced implements cache.SharedInformer.
func (i *informer) HasSynced() bool { return true }

// HasSyncedChecker implements cache.SharedInformer.
func (i *informer) HasSyncedChecker() cache.DoneChecker { return synced{} }

// LastSyncResourceVersion implements cache.SharedInformer.
func (i *informer) LastSyncResourceVersion() string { return i.indexer.LastStoreSyncResourceVersion() }

// SetWatchErrorHandler implements cache.SharedInformer: nothing can go wrong.
func (i *informer) SetWatchErrorHandler(cache.WatchErrorHandler) error { return nil }

// SetWatchErrorHandlerWithContext implements cache.SharedInformer.
func (i *informer) SetWatchErrorHandlerWithContext(cache.WatchErrorHandlerWithContext) error {
	return nil
}

// SetTransform implements cache.SharedInformer. Nothing is kept, so that there
// is nothing to make smaller.
func (i *informer) SetTransform(cache.TransformFunc) error { return nil }

// IsStopped implements cache.SharedInformer.
func (i *informer) IsStopped() bool { return false }

// synced is a cache.DoneChecker that is done.
type synced struct{}

var done = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Name implements cache.DoneChecker.
func (synced) Name() string { return "table" }

// Done implements cache.DoneChecker.
func (synced) Done() <-chan struct{} { return done }

func revision(rev uint64) string { return strconv.FormatUint(rev, 10) }
