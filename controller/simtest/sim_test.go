package simtest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/events"
)

var (
	histories = flag.Int("histories", 2000, "how many histories to run")
	first     = flag.Uint64("first", 1, "the seed of the first of them")
	oneSeed   = flag.Uint64("seed", 0, "run the history of this seed alone and print it")
)

// checkOneIn: of so many histories one rebuilds every state from scratch after
// every event, and one is run twice.
const checkOneIn = 10

func run(seed uint64) Result { return Run(seed, Options{CheckEvery: seed%checkOneIn == 0}) }

// failure says what a history broke, and what led to it.
func failure(r Result) string {
	return fmt.Sprintf("seed %d: %s\n%s(go test ./controller/simtest -run TestHistories -seed %d)",
		r.Seed, r.Violation, r.Print(r.Violation.Seq, 30), r.Seed)
}

func TestHistories(t *testing.T) {
	if *oneSeed != 0 {
		r := run(*oneSeed)
		fmt.Fprint(os.Stderr, r.Print(events.Seq(r.Records), r.Records))
		if r.Violation != nil {
			t.Fatal(failure(r))
		}
		return
	}
	c := campaign{}
	c.next.Store(*first)
	c.last.Store(*first + uint64(*histories))
	start := time.Now()
	workers := runtime.GOMAXPROCS(0)
	var all sync.WaitGroup
	for range workers {
		all.Go(c.work)
	}
	all.Wait()
	if c.failed != nil {
		t.Fatal(failure(*c.failed))
	}
	perHistory := time.Since(start) * time.Duration(workers) / time.Duration(*histories)
	t.Logf("%d histories, %d records, %d plans; %s a history and core", *histories, c.records, c.plans, perHistory.Round(10*time.Microsecond))
	c.floors(t)
}

// campaign runs many histories in several goroutines.
type campaign struct {
	next atomic.Uint64
	last atomic.Uint64 // the first seed not to be run

	mu             sync.Mutex
	failed         *Result // the one of the smallest seed
	seen           Coverage
	records, plans int
}

func (c *campaign) work() {
	for {
		seed := c.next.Add(1) - 1
		if seed >= c.last.Load() {
			return
		}
		r := run(seed)
		if r.Violation == nil && seed%checkOneIn == 1 {
			if again := run(seed); again.Digest != r.Digest {
				r.Violation = violation("L6", 1, "run twice, the logs differ: %s and %s", r.Digest, again.Digest)
			}
		}
		c.mu.Lock()
		c.seen.Sum(r.Seen)
		c.records += r.Records
		c.plans += r.Plans
		if r.Violation != nil {
			// Smaller seeds are still looked at: the failure told is always the same.
			if c.failed == nil || r.Seed < c.failed.Seed {
				c.failed = &r
				c.last.Store(r.Seed)
			}
		}
		c.mu.Unlock()
	}
}

// floors fails a campaign that did not meet what it has to: histories in which
// nothing happens prove nothing.
func (c *campaign) floors(t *testing.T) {
	for s := range occasions {
		n := c.seen[s]
		t.Logf("%6d  %s", n, s)
		if *histories >= 1000 && n < *histories/200 {
			t.Errorf("%s: in %d of %d histories", s, n, *histories)
		}
	}
}
