package ahead

import "sync"

// Together calls f with every number below n, each on a goroutine, and returns when
// all have returned.
func Together(n int, f func(int)) {
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { f(i) })
	}
	running.Wait()
}
