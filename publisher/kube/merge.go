package kube

import (
	"cmp"
	"slices"
	"time"
)

// holdBack is how long a thing that was heard waits for what another watch may say of
// before. A cluster promises an order within one kind only: nothing depends on that
// of different ones, which reads better in the order in which things were.
const holdBack = 100 * time.Millisecond

// gatherTime is for how long more what follows is waited for: a log that is told of it
// together stores it once, and it is decided upon once.
const gatherTime = 100 * time.Millisecond

// Merge puts what several watches say into the order of the cluster's revisions, as
// far as it is heard within holdBack. Of one kind the order stays that in which it was
// taken. The zero Merge has nothing.
type Merge[T any] struct{ waiting []waiting[T] }

type waiting[T any] struct {
	rv   uint64
	at   time.Time
	what T
}

// Take takes what was heard at a time. Of one kind revisions never step back.
func (m *Merge[T]) Take(rv uint64, at time.Time, what T) {
	// Behind all of the same revision: a mark comes after what it is about.
	i, _ := slices.BinarySearchFunc(m.waiting, rv, func(w waiting[T], rv uint64) int {
		if w.rv <= rv {
			return -1
		}
		return 1
	})
	m.waiting = slices.Insert(m.waiting, i, waiting[T]{rv, at, what})
}

// Due returns what has waited long enough, with all that was before it; nothing if it is
// not time yet for the first.
func (m *Merge[T]) Due(now time.Time) (due []T) {
	if at, ok := m.Next(); !ok || at.After(now) {
		return nil
	}
	last := -1
	for i, w := range m.waiting {
		if !w.at.Add(holdBack).After(now) {
			last = i
		}
	}
	return m.cut(last + 1)
}

// All returns all that waits.
func (m *Merge[T]) All() []T { return m.cut(len(m.waiting)) }

func (m *Merge[T]) cut(n int) (out []T) {
	for _, w := range m.waiting[:n] {
		out = append(out, w.what)
	}
	m.waiting = slices.Delete(m.waiting, 0, n)
	return out
}

// Next returns when Due will have something, which is the same however much is taken
// until then; ok is false if nothing waits.
func (m *Merge[T]) Next() (at time.Time, ok bool) {
	if len(m.waiting) == 0 {
		return at, false
	}
	first := slices.MinFunc(m.waiting, func(a, b waiting[T]) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	return first.at.Add(holdBack + gatherTime), true
}
