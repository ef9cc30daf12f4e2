package apiserver

import (
	"slices"
	"strings"
	"sync"

	"github.com/tidwall/btree"
)

// Bounds of the changes that a table remembers. A reader that is further
// behind starts again from the present, as one of etcd does after a compaction.
const (
	maxChanges     = 20_000
	maxChangeBytes = 64 << 20
)

// item is one object of a table. It is never modified.
type item struct {
	key  string // "namespace/name", or "name"
	rev  uint64 // of its last change
	data []byte // as the log has it
}

// change is one step of a table's history: now is nil for a deletion, prev for
// a creation.
type change struct {
	rev       uint64
	key       string
	now, prev *item
}

func (c *change) size() int {
	n := 0
	for _, i := range []*item{c.now, c.prev} {
		if i != nil {
			n += len(i.data)
		}
	}
	return n
}

// table is the objects of one resource and their last changes. Its methods may
// be called from any goroutine.
type table struct {
	mu      sync.RWMutex
	items   *btree.BTreeG[*item] // by key
	changes []change             // those after floor, in order
	bytes   int                  // that the changes hold
	floor   uint64               // revision of the last change that is forgotten
	last    uint64               // revision of the last change
	nudge   uint64               // counts requests for a bookmark
	wake    chan struct{}        // closed at the next change or nudge
}

func newTable() *table {
	return &table{wake: make(chan struct{}), items: btree.NewBTreeGOptions(
		func(a, b *item) bool { return a.key < b.key }, btree.Options{NoLocks: true})}
}

// put makes key hold data since rev, or nothing if data is nil. Revisions rise.
func (t *table) put(rev uint64, key string, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := change{rev: rev, key: key}
	if data == nil {
		c.prev, _ = t.items.Delete(&item{key: key})
		if c.prev == nil {
			return
		}
	} else {
		c.now = &item{key: key, rev: rev, data: data}
		c.prev, _ = t.items.Set(c.now)
	}
	t.remember(c)
	close(t.wake)
	t.wake = make(chan struct{})
}

func (t *table) remember(c change) {
	t.changes = append(t.changes, c)
	t.bytes += c.size()
	t.last = c.rev
	drop := 0
	for len(t.changes)-drop > maxChanges || t.bytes > maxChangeBytes && drop < len(t.changes)-1 {
		t.bytes -= t.changes[drop].size()
		drop++
	}
	t.forget(drop)
}

// forget drops the first n changes.
func (t *table) forget(n int) {
	if n == 0 {
		return
	}
	t.floor = t.changes[n-1].rev
	clear(t.changes[:n]) // the array is kept for a while
	if t.changes = t.changes[n:]; cap(t.changes) > 4*len(t.changes)+changeBatch {
		t.changes = slices.Clone(t.changes) // and let go when it is mostly empty
	}
}

// poke wakes those who wait for changes, so that they say how far they are.
func (t *table) poke() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nudge++
	close(t.wake)
	t.wake = make(chan struct{})
}

// get returns the object of a key, or nil.
func (t *table) get(key string) *item {
	t.mu.RLock()
	defer t.mu.RUnlock()
	i, _ := t.items.Get(&item{key: key})
	return i
}

// stats returns how many objects there are, and of how many bytes.
func (t *table) stats() (objects, bytes int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.items.Scan(func(i *item) bool {
		bytes += int64(len(i.data))
		return true
	})
	return int64(t.items.Len()), bytes
}

// snapshot returns the objects as they are, to be read without a lock, and the
// revision of the last change in them.
func (t *table) snapshot() (items *btree.BTreeG[*item], last uint64) {
	t.mu.Lock() // a copy marks the nodes of the tree as shared
	defer t.mu.Unlock()
	return t.items.Copy(), t.last
}

// snapshotAt returns the objects as they were at a revision; ok is false if
// that is forgotten.
func (t *table) snapshotAt(rev uint64) (items *btree.BTreeG[*item], ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rev < t.floor {
		return nil, false
	}
	items = t.items.Copy()
	for i := len(t.changes) - 1; i >= 0 && t.changes[i].rev > rev; i-- {
		if c := t.changes[i]; c.prev != nil {
			items.Set(c.prev)
		} else {
			items.Delete(c.now)
		}
	}
	return items, true
}

// since returns the changes after a revision, what is closed at the next one,
// and the count of nudges; ok is false if some of them are forgotten. The
// changes are shared and not to be written to.
func (t *table) since(rev uint64) (cs []change, wake <-chan struct{}, nudge uint64, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if rev < t.floor {
		return nil, nil, 0, false
	}
	i, _ := slices.BinarySearchFunc(t.changes, rev+1, func(c change, r uint64) int {
		switch {
		case c.rev < r:
			return -1
		case c.rev > r:
			return 1
		}
		return 0
	})
	return slices.Clone(t.changes[i:min(len(t.changes), i+changeBatch)]), t.wake, t.nudge, true
}

// changeBatch bounds the changes that a reader takes at once.
const changeBatch = 256

// lastRevision returns the revision of the last change.
func (t *table) lastRevision() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.last
}

// compact forgets the changes up to a revision.
func (t *table) compact(rev uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.changes) && t.changes[n].rev <= rev {
		t.bytes -= t.changes[n].size()
		n++
	}
	t.forget(n)
	t.floor = max(t.floor, rev)
}

// oldest returns the revision before the oldest change that is remembered.
func (t *table) oldest() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.floor
}

// scan yields the items whose key begins with prefix, from key on.
func scan(items *btree.BTreeG[*item], prefix, from string, yield func(*item) bool) {
	items.Ascend(&item{key: max(prefix, from)}, func(i *item) bool {
		return strings.HasPrefix(i.key, prefix) && yield(i)
	})
}
