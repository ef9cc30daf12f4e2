// Package table holds the objects of a log as they are: the bytes of the last
// fact about each, by kind and name, and the last changes. A process that reads
// a log has one copy of its objects, and this is it: the fold, the API, the
// executor and the views read them here.
//
// Nothing is decoded and nothing is copied: an Item has the bytes of an event,
// is never modified, and may be kept. What a table gives out in order is in the
// order of the keys, so that two tables of the same events give out the same.
//
// Tables are filled by one goroutine, that of the fold; every method may be
// called from any other.
package table

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"rollcall/events"
)

// Item is one object with the revision of its last change: the position of the
// fact in the log, or what a table beside the log counts.
type Item struct {
	events.Object
	Rev uint64
}

// Path returns the item's key as a path.
func (i *Item) Path() string { return pathOf(i.Key) }

// Change is one step of a table's history: Now is nil for a deletion, Prev for
// a creation.
type Change struct {
	Rev       uint64
	Key       events.Key
	Now, Prev *Item
}

// Path returns the key as a path.
func (c *Change) Path() string { return pathOf(c.Key) }

func (c *Change) size() int {
	n := 0
	for _, i := range []*Item{c.Now, c.Prev} {
		if i != nil {
			n += len(i.Data)
		}
	}
	return n
}

// History bounds the changes that a table remembers. A reader that is further
// behind starts again from the present, as one of etcd does after a compaction.
// Zero: no change is remembered, because nobody follows the table.
type History struct{ Changes, Bytes int }

// Recent is the history of tables that an API serves.
var Recent = History{Changes: 20_000, Bytes: 64 << 20}

// Rows are items in the order of their paths. They are a copy that nobody
// changes.
type Rows struct{ tree *btree.BTreeG[*Item] }

// Len returns how many there are.
func (r Rows) Len() int { return r.tree.Len() }

// At returns the one with a path, or nil.
func (r Rows) At(path string) *Item {
	i, _ := r.tree.Get(probe(KeyOf(path)))
	return i
}

// probe is what is looked up in a tree.
func probe(key events.Key) *Item { return &Item{Object: events.Object{Ref: events.Ref{Key: key}}} }

// Scan yields them until f returns false.
func (r Rows) Scan(f func(*Item) bool) { r.tree.Scan(f) }

// From yields those whose path begins with prefix, from a path on.
func (r Rows) From(prefix, path string, f func(*Item) bool) {
	r.tree.Ascend(probe(KeyOf(max(prefix, path))), func(i *Item) bool {
		return strings.HasPrefix(i.Path(), prefix) && f(i)
	})
}

// pathOf returns a key as the Kubernetes API and etcd write it: "namespace/name", or
// "name".
func pathOf(k events.Key) string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// KeyOf is the key that a path stands for.
func KeyOf(path string) events.Key {
	ns, name, ok := strings.Cut(path, "/")
	if !ok {
		return events.Key{Name: path}
	}
	return events.Key{Namespace: ns, Name: name}
}

// comparePaths compares the paths of two keys, which is the order of etcd.
func comparePaths(a, b events.Key) int {
	if a.Namespace == b.Namespace {
		return strings.Compare(a.Name, b.Name)
	}
	if a.Namespace != "" && b.Namespace != "" {
		n := min(len(a.Namespace), len(b.Namespace))
		if c := strings.Compare(a.Namespace[:n], b.Namespace[:n]); c != 0 {
			return c
		}
	}
	return strings.Compare(pathOf(a), pathOf(b))
}

// rows is a table without its lock.
type rows struct {
	items map[events.Key]*Item
	held  int64 // bytes of the items
	// ordered are the items by path as of when somebody last asked for them, and
	// late the keys that have changed since. Most facts change an object that
	// nobody lists before it changes again.
	ordered *btree.BTreeG[*Item]
	late    []events.Key

	history History
	changes []Change // those after floor, in order
	bytes   int      // that the changes hold
	floor   uint64   // revision of the last change that is forgotten
	last    uint64   // revision of the last change
}

// put makes the row of a key i, or none if i is nil. Revisions rise. It reports
// whether anything changed.
func (t *rows) put(rev uint64, key events.Key, i *Item) bool {
	prev := t.items[key]
	if i == nil && prev == nil {
		return false
	}
	if prev != nil {
		t.held -= int64(len(prev.Data))
	}
	if i == nil {
		delete(t.items, key)
	} else {
		t.items[key] = i
		t.held += int64(len(i.Data))
	}
	if t.ordered != nil {
		t.late = append(t.late, key)
		if len(t.late) > len(t.items)+changeBatch {
			t.ordered, t.late = nil, nil // it is sorted anew when somebody asks
		}
	}
	t.remember(Change{rev, key, i, prev})
	return true
}

// inOrder brings the order up to date.
func (t *rows) inOrder() *btree.BTreeG[*Item] {
	if t.ordered == nil {
		t.ordered = btree.NewBTreeGOptions(func(a, b *Item) bool { return comparePaths(a.Key, b.Key) < 0 }, btree.Options{NoLocks: true})
		t.late = slices.SortedFunc(maps.Keys(t.items), comparePaths)
	}
	for _, key := range t.late {
		if i := t.items[key]; i != nil {
			t.ordered.Set(i)
		} else {
			t.ordered.Delete(probe(key))
		}
	}
	t.late = nil
	return t.ordered
}

// at returns the rows as they were at a revision; ok is false if that is
// forgotten.
func (t *rows) at(rev uint64) (was Rows, ok bool) {
	if rev < t.floor {
		return Rows{}, false
	}
	was = Rows{t.inOrder().Copy()}
	for i := len(t.changes) - 1; i >= 0 && t.changes[i].Rev > rev; i-- {
		if c := t.changes[i]; c.Prev != nil {
			was.tree.Set(c.Prev)
		} else {
			was.tree.Delete(c.Now)
		}
	}
	return was, true
}

// changeBatch bounds the changes that a reader takes at once.
const changeBatch = 256

// since returns the first changes after a revision; ok is false if some of them
// are forgotten.
func (t *rows) since(rev uint64) (cs []Change, ok bool) {
	if rev < t.floor {
		return nil, false
	}
	i, _ := slices.BinarySearchFunc(t.changes, rev+1, func(c Change, r uint64) int { return cmp.Compare(c.Rev, r) })
	return slices.Clone(t.changes[i:min(len(t.changes), i+changeBatch)]), true
}

func (t *rows) remember(c Change) {
	t.last = c.Rev
	if t.history.Changes == 0 {
		t.floor = c.Rev
		return
	}
	t.changes = append(t.changes, c)
	t.bytes += c.size()
	drop := 0
	for len(t.changes)-drop > t.history.Changes || t.bytes > t.history.Bytes && drop < len(t.changes)-1 {
		t.bytes -= t.changes[drop].size()
		drop++
	}
	t.forget(drop)
}

// forget drops the first n changes.
func (t *rows) forget(n int) {
	if n == 0 {
		return
	}
	t.floor = t.changes[n-1].Rev
	clear(t.changes[:n]) // the array is kept for a while
	if t.changes = t.changes[n:]; cap(t.changes) > 4*len(t.changes)+changeBatch {
		t.changes = slices.Clone(t.changes) // and let go when it is mostly empty
	}
}

// compact forgets the changes up to a revision.
func (t *rows) compact(rev uint64) {
	n := 0
	for n < len(t.changes) && t.changes[n].Rev <= rev {
		t.bytes -= t.changes[n].size()
		n++
	}
	t.forget(n)
	t.floor = max(t.floor, rev)
}
