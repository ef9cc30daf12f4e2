// Package ahead loads the parts of a file on all cores, ahead of who takes them
// one after the other.
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
