package apiserver

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"rollcall/events"
	"rollcall/projector/table"
)

// kvBackend keeps the objects of a resource in a key-value bucket beside the
// log. With a view it also shows objects that are made of the log's events. It
// reads neither before somebody asks for objects.
//
// Its revisions are no positions of the log. They rise over restarts: those of
// each run begin with the milliseconds since 1970, and no bucket takes a thousand
// values a second for long.
type kvBackend struct {
	table  *table.Table
	bucket events.KV
	run    func(func(context.Context)) // runs a function until the server ends

	view *eventView                                                       // nil: there is nothing but what is put
	read func(context.Context, events.Seq) iter.Seq2[events.Event, error] // yields the log that the view is of
	end  func(context.Context) (events.Seq, error)                        // where that log ends
	past bool                                                             // the view goes no further than end

	opening, viewing sync.Once

	mu      sync.Mutex
	base    uint64     // of the revisions of this run: milliseconds since 1970
	seen    events.Seq // up to where the view has read the log
	posted  uint64     // revision of the bucket up to which its values are in the table
	sub     uint64     // changes of the table since seen or posted rose
	synced  bool       // everything that was in the bucket is in the table
	failed  error
	entries map[string]entry
	changed chan struct{}
}

// entry is what the bucket has under a key. A deleted object stays an entry, so
// that the view does not show it again.
type entry struct {
	posted uint64 // revision of the bucket
	rev    uint64 // revision that clients see
}

func newKVBackend(t *table.Table, b events.KV, run func(func(context.Context))) *kvBackend {
	return &kvBackend{table: t, bucket: b, run: run, base: uint64(time.Now().UnixMilli()), entries: map[string]entry{}, changed: make(chan struct{})}
}

// subBits leave room for the changes that one event of the log makes.
const subBits = 20

func (b *kvBackend) revision() uint64 {
	return (b.base+uint64(b.seen)+b.posted)<<subBits + b.sub
}

// open starts to read the bucket, once, and returns when all that was in it is
// in the table.
func (b *kvBackend) open(ctx context.Context) error {
	b.opening.Do(func() { b.run(b.follow) })
	return b.wait(ctx, func() bool { return b.synced })
}

// tell wakes those who wait. The caller holds mu.
func (b *kvBackend) tell() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// fail keeps why the bucket or the log cannot be read any more.
func (b *kvBackend) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = errors.Join(b.failed, err)
	b.tell()
}

// follow takes what is in the bucket, and then what comes.
func (b *kvBackend) follow(ctx context.Context) {
	for p, err := range b.bucket.Watch(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				klog.ErrorS(err, "read a bucket")
				b.fail(err)
			}
			return
		}
		b.take(p)
	}
}

func (b *kvBackend) take(p events.KVEntry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.tell()
	if p.Key == "" {
		b.synced = true
		// Revisions of an earlier run count differently.
		b.table.Compact(b.revision())
		return
	}
	b.posted, b.sub = p.Rev, b.sub+1
	var data []byte
	if o, ok := events.Decode(p.Value).Body.(events.Object); ok && p.Value != nil {
		data = o.Data
	}
	b.entries[p.Key] = entry{posted: p.Rev, rev: b.revision()}
	if p.Value == nil {
		delete(b.entries, p.Key)
	}
	b.keep(p.Key, data)
}

// watchLog feeds the view with the log: up to end if that is the past, and for
// ever if it is not.
func (b *kvBackend) watchLog(ctx context.Context) {
	until, err := b.end(ctx)
	if err != nil {
		b.fail(err)
		return
	}
	for e, err := range b.read(ctx, 0) {
		if err != nil {
			if ctx.Err() == nil {
				klog.ErrorS(err, "read the log for core Events")
				b.fail(err)
			}
			return
		}
		b.observe(e)
		if b.past && e.Seq >= until {
			return
		}
	}
}

// observe takes one event of the log into the view.
func (b *kvBackend) observe(e events.Event) {
	changes := b.view.observe(e)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = e.Seq
	for _, c := range changes {
		b.show(c)
	}
	b.tell()
}

// show puts a change of the view into the table, unless somebody else has
// written that object.
func (b *kvBackend) show(c viewed) {
	if _, theirs := b.entries[c.key]; theirs {
		return
	}
	b.sub++
	b.keep(c.key, c.data)
}

// keep makes the table's row of a path data, or none. The caller holds mu.
func (b *kvBackend) keep(path string, data []byte) {
	key := table.KeyOf(path)
	if data == nil {
		b.table.Delete(b.revision(), key)
		return
	}
	b.table.Put(&table.Item{Object: events.Object{Ref: events.Ref{Key: key}, Data: data}, Rev: b.revision()})
}

// append implements backend.
func (b *kvBackend) append(ctx context.Context, w write) (uint64, error) {
	if err := b.open(ctx); err != nil {
		return 0, err
	}
	b.mu.Lock()
	last := uint64(0)
	if i := b.table.At(w.key); i != nil {
		last = i.Rev
	}
	known := b.entries[w.key].posted
	b.mu.Unlock()
	if last != w.last {
		return 0, events.ErrConflict
	}
	value, err := events.Encode(event(ctx, w))
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", w.key, err)
	}
	rev, err := b.bucket.Put(ctx, w.key, value, known)
	if err != nil {
		return 0, err
	}
	if err := b.wait(ctx, func() bool { return b.posted >= rev }); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[w.key].rev, nil
}

// wait returns when ok returns true. ok is called with mu held.
func (b *kvBackend) wait(ctx context.Context, ok func() bool) error {
	for {
		b.mu.Lock()
		done, err, changed := ok(), b.failed, b.changed
		b.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refresh implements backend. The view of the log starts with the first read:
// to make an Event, and to change one that was made, takes the bucket alone.
func (b *kvBackend) refresh(ctx context.Context, path string) (uint64, error) {
	if err := b.open(ctx); err != nil {
		return 0, err
	}
	b.mu.Lock()
	_, posted := b.entries[path]
	b.mu.Unlock()
	if b.view == nil || posted {
		return b.position(), nil
	}
	b.viewing.Do(func() { b.run(b.watchLog) })
	until, err := b.end(ctx)
	if err != nil {
		return 0, err
	}
	err = b.wait(ctx, func() bool { return b.seen >= until })
	return b.position(), err
}

// await implements backend.
func (b *kvBackend) await(ctx context.Context, rev uint64) error {
	if _, err := b.refresh(ctx, ""); err != nil {
		return err
	}
	return b.wait(ctx, func() bool { return b.revision() >= rev })
}

// position implements backend.
func (b *kvBackend) position() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revision()
}
