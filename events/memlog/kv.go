package memlog

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"rollcall/events"
)

// KV is a bucket in memory. Its methods may be called from any goroutine.
type KV struct {
	mu      sync.Mutex
	rev     uint64
	entries map[string]events.KVEntry
	changed broadcast
}

var _ events.KV = (*KV)(nil)

// NewKV returns an empty bucket.
func NewKV() *KV { return &KV{entries: map[string]events.KVEntry{}, changed: newBroadcast()} }

// Put implements events.KV.
func (b *KV) Put(_ context.Context, key string, value []byte, last uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries[key].Rev != last {
		return 0, events.ErrConflict
	}
	b.rev++
	b.entries[key] = events.KVEntry{Key: key, Value: value, Rev: b.rev}
	b.changed.tell()
	return b.rev, nil
}

// since returns the values that are newer than a revision, oldest first, and
// what is closed at the next change.
func (b *KV) since(rev uint64) ([]events.KVEntry, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	newer := slices.SortedFunc(maps.Values(b.entries), func(x, y events.KVEntry) int { return cmp.Compare(x.Rev, y.Rev) })
	return slices.DeleteFunc(newer, func(e events.KVEntry) bool { return e.Rev <= rev }), b.changed.next
}

// Watch implements events.KV.
func (b *KV) Watch(ctx context.Context) iter.Seq2[events.KVEntry, error] {
	return func(yield func(events.KVEntry, error) bool) {
		seen := uint64(0)
		newer, changed := b.since(seen)
		for newer = append(newer, events.KVEntry{}); ; newer, changed = b.since(seen) {
			for _, e := range newer {
				if seen = max(seen, e.Rev); !yield(e, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(events.KVEntry{}, ctx.Err())
				return
			}
		}
	}
}
