package table

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rollcall/events"
)

// Table is the objects of one kind and their last changes.
type Table struct {
	mu    sync.RWMutex
	rows  rows
	nudge uint64        // counts requests for a bookmark
	wake  chan struct{} // closed at the next change or nudge; nil: nobody waits
	told  map[*func()]bool
}

// NewTable returns an empty table.
func NewTable(h History) *Table {
	return &Table{rows: rows{items: map[events.Key]*Item{}, history: h}}
}

// Put makes the object of a key what i is, as of its revision. Revisions rise.
func (t *Table) Put(i *Item) { t.put(i.Rev, i.Key, i) }

// Delete takes the object of a key away at a revision.
func (t *Table) Delete(rev uint64, key events.Key) { t.put(rev, key, nil) }

func (t *Table) put(rev uint64, key events.Key, i *Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows.put(rev, key, i) {
		t.stir()
		for f := range t.told {
			(*f)()
		}
	}
}

// Tell has f called at each change, until what it returns is called. f is called
// by who fills the table, and may neither block nor ask the table.
func (t *Table) Tell(f func()) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told == nil {
		t.told = map[*func()]bool{}
	}
	t.told[&f] = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.told, &f)
	}
}

// stir wakes those who wait for changes. The caller holds mu.
func (t *Table) stir() {
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
}

// Poke wakes those who wait for changes, so that they say how far they are.
func (t *Table) Poke() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nudge++
	t.stir()
}

// Get returns the object of a key, or nil.
func (t *Table) Get(key events.Key) *Item {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows.items[key]
}

// At returns the object of a path, or nil.
func (t *Table) At(path string) *Item { return t.Get(KeyOf(path)) }

// Size returns how many objects there are, and of how many bytes.
func (t *Table) Size() (objects, bytes int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return int64(len(t.rows.items)), t.rows.held
}

// Snapshot returns the objects as they are, and the revision of the last change
// in them.
func (t *Table) Snapshot() (is Rows, last uint64) {
	t.mu.Lock() // a copy marks the nodes of the tree as shared
	defer t.mu.Unlock()
	return Rows{t.rows.inOrder().Copy()}, t.rows.last
}

// SnapshotAt returns the objects as they were at a revision; ok is false if
// that is forgotten.
func (t *Table) SnapshotAt(rev uint64) (was Rows, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rows.at(rev)
}

// Since returns the first changes after a revision, what is closed at the next
// one, and the count of pokes; ok is false if some of them are forgotten.
func (t *Table) Since(rev uint64) (cs []Change, wake <-chan struct{}, pokes uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wake == nil {
		t.wake = make(chan struct{})
	}
	cs, ok = t.rows.since(rev)
	return cs, t.wake, t.nudge, ok
}

// Last returns the revision of the last change.
func (t *Table) Last() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows.last
}

// Oldest returns the revision before the oldest change that is remembered.
func (t *Table) Oldest() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows.floor
}

// Compact forgets the changes up to a revision.
func (t *Table) Compact(rev uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows.compact(rev)
}

// Reader reads the objects of a log as they are.
type Reader interface {
	// Get returns an object, or nil.
	Get(kind events.Kind, key events.Key) *Item
}

// Tables are the objects of one log, a table a kind, and how far the log was
// taken into them.
type Tables struct {
	history History

	mu      sync.RWMutex
	kinds   map[events.Kind]*Table
	applied events.Seq
	stored  time.Time // when that was
	ended   error     // why no more will be
	waiters map[chan struct{}]events.Seq
}

// New returns the tables before the first event of a log.
func New(h History) *Tables {
	return &Tables{history: h, kinds: map[events.Kind]*Table{}, waiters: map[chan struct{}]events.Seq{}}
}

// Of returns the table of a kind.
func (t *Tables) Of(kind events.Kind) *Table {
	t.mu.RLock()
	k := t.kinds[kind]
	t.mu.RUnlock()
	if k != nil {
		return k
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds[kind] == nil {
		t.kinds[kind] = NewTable(t.history)
	}
	return t.kinds[kind]
}

// Kinds returns the kinds that were asked for or have had objects, in order.
func (t *Tables) Kinds() []events.Kind {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.kinds))
}

// Get implements Reader.
func (t *Tables) Get(kind events.Kind, key events.Key) *Item { return t.Of(kind).Get(key) }

// Take takes one event, for a reader that keeps nothing but the tables. Events
// are taken in the order of the log, each once.
func (t *Tables) Take(e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		t.Of(b.Kind).Put(&Item{Object: b, Rev: uint64(e.Seq)})
	case events.Gone:
		t.Of(b.Kind).Delete(uint64(e.Seq), b.Key)
	}
	t.Advance(e)
}

// Advance says that the tables have all up to an event.
func (t *Tables) Advance(e events.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.applied, t.stored = e.Seq, e.Stored
	for w, at := range t.waiters {
		if at <= e.Seq {
			close(w)
			delete(t.waiters, w)
		}
	}
}

// End says that nothing more comes, and why.
func (t *Tables) End(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = why
	for w := range t.waiters {
		close(w)
	}
	clear(t.waiters)
}

// Position returns how far the log was taken.
func (t *Tables) Position() events.Seq {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.applied
}

// Time returns when the last event taken was stored.
func (t *Tables) Time() time.Time {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.stored
}

// Await returns when the tables have the event at seq: who appended it and
// waits reads its own write. It returns why there will be no more if they have
// not got so far.
func (t *Tables) Await(ctx context.Context, seq events.Seq) error {
	w, err := t.waiter(seq)
	if w == nil {
		return err
	}
	select {
	case <-w:
		_, err := t.waiter(seq)
		return err
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.waiters, w)
		return fmt.Errorf("wait for position %d: %w", seq, ctx.Err())
	}
}

// waiter returns what is closed when seq is there; nil: it is, or will not be.
func (t *Tables) waiter(seq events.Seq) (chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.applied >= seq {
		return nil, nil
	}
	if t.ended != nil {
		return nil, fmt.Errorf("wait for position %d: %w", seq, t.ended)
	}
	w := make(chan struct{})
	t.waiters[w] = seq
	return w, nil
}
