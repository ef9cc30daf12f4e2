// Package ahead reads on all cores, ahead of who takes what was read one after the
// other: the parts of a file, or what a sequence yields.
package ahead

import (
	"context"
	"iter"
	"runtime"
	"sync"
)

// Parts is how many parts are loaded ahead of the one that is taken, each by a
// goroutine.
var Parts = min(runtime.GOMAXPROCS(0), 4)

// Load loads keys, and yields what comes of them in the order of the keys. It
// ends early with ctx. When it has ended, nothing is being loaded any more.
func Load[K, T any](ctx context.Context, keys []K, load func(K) T) iter.Seq[T] {
	return func(yield func(T) bool) {
		ctx, cancel := context.WithCancel(ctx)
		loading := start(ctx, keys, load)
		defer func() {
			cancel()
			for range loading {
			}
		}()
		for next := range loading {
			if !yield(<-next) {
				return
			}
		}
	}
}

// start loads keys, and hands out where each comes in their order.
func start[K, T any](ctx context.Context, keys []K, load func(K) T) <-chan chan T {
	out := make(chan chan T, Parts)
	go func() {
		defer close(out)
		var running sync.WaitGroup
		defer running.Wait()
		for _, k := range keys {
			next := make(chan T, 1)
			select {
			case <-ctx.Done():
				return
			case out <- next:
			}
			running.Go(func() { next <- load(k) })
		}
	}()
	return out
}

// batch is how many values are handed on at once, and how many batches are read
// ahead of the one that is taken.
const (
	batch   = 128
	batches = 4
)

// Look yields what a sequence does, which another goroutine goes through ahead of
// who takes it, and calls look there with every value that comes without an error.
// When it has ended, nothing is being read any more.
func Look[T any](seq iter.Seq2[T, error], look func(*T)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		r := reader[T]{out: make(chan []result[T], batches), used: make(chan []result[T], batches+2), stop: make(chan struct{})}
		go r.read(seq, look)
		defer func() {
			close(r.stop)
			for range r.out {
			}
		}()
		for b := range r.out {
			for i := range b {
				if !yield(b[i].value, b[i].err) {
					return
				}
			}
			r.used <- b
		}
	}
}

type result[T any] struct {
	value T
	err   error
}

// reader hands batches on, and takes them back to be filled again.
type reader[T any] struct {
	out, used chan []result[T]
	stop      chan struct{}
}

func (r *reader[T]) read(seq iter.Seq2[T, error], look func(*T)) {
	defer close(r.out)
	var b []result[T]
	for v, err := range seq {
		b = append(b, result[T]{v, err})
		if err == nil {
			look(&b[len(b)-1].value) // where it is: one value less a turn for the heap
		}
		if len(b) < batch {
			continue
		}
		if !r.hand(b) {
			return
		}
		select {
		case b = <-r.used:
			b = b[:0]
		default:
			b = make([]result[T], 0, batch)
		}
	}
	r.hand(b)
}

// hand hands a batch on. It reports whether more are wanted.
func (r *reader[T]) hand(b []result[T]) bool {
	select {
	case r.out <- b:
		return true
	case <-r.stop:
		return false
	}
}
