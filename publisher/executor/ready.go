package executor

import (
	"cmp"
	"time"

	"github.com/tidwall/btree"

	"rollcall/events"
	"rollcall/events/drive"
)

// mostOfAKind bounds the commands that make a pod which are carried out at once, and so
// those of all other kinds: while the world is slow with the one, there is room for the
// other, and it is not waited for until a queue of thousands is through.
const mostOfAKind = drive.DefaultInFlight * 3 / 4

// ready are commands that can be carried out, those that make a pod apart from the others,
// and how many of either are.
type ready struct {
	waiting  [2]*btree.BTreeG[*order] // by when, then by cause
	underway [2]int
}

func newReady() (r ready) {
	for i := range r.waiting {
		r.waiting[i] = btree.NewBTreeGOptions(func(a, b *order) bool {
			return cmp.Or(a.from.Compare(b.from), compareCauses(a.cause, b.cause)) < 0
		}, btree.Options{NoLocks: true})
	}
	return r
}

func compareCauses(a, b events.Cause) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index))
}

// kind is the place of a command in the fields of ready.
func (o *order) kind() int {
	if o.command.Do == events.CreatePod {
		return 0
	}
	return 1
}

func (r *ready) put(o *order) { r.waiting[o.kind()].Set(o) }

func (r *ready) drop(o *order) { r.waiting[o.kind()].Delete(o) }

// first returns the command that is next, if there is room for one of its kind.
func (r *ready) first() (first *order, ok bool) {
	for i, w := range r.waiting {
		o, some := w.Min()
		if some && r.underway[i] < mostOfAKind && (!ok || w.Less(o, first)) {
			first, ok = o, true
		}
	}
	return first, ok
}

// take takes the first command if it is due.
func (r *ready) take(now time.Time) (o *order, ok bool) {
	if o, ok = r.first(); !ok || o.from.After(now) {
		return nil, false
	}
	r.drop(o)
	r.underway[o.kind()]++
	return o, true
}

// done makes room: a command that was taken has come to its end, or to nothing.
func (r *ready) done(o *order) { r.underway[o.kind()]-- }
