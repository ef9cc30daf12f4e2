package ahead_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/events/ahead"
)

// TestLoad: what is loaded comes in order, and who stops leaves nothing running.
func TestLoad(t *testing.T) {
	keys := []int{3, 1, 4, 1, 5, 9, 2, 6}
	var running atomic.Int32
	double := func(k int) int {
		running.Add(1)
		defer running.Add(-1)
		return 2 * k
	}
	var got []int
	for x := range ahead.Load(t.Context(), keys, double) {
		got = append(got, x/2)
	}
	if !slices.Equal(got, keys) {
		t.Errorf("%v, want %v", got, keys)
	}
	for range ahead.Load(t.Context(), keys, double) {
		break
	}
	if n := running.Load(); n != 0 {
		t.Errorf("%d are loaded when it has ended", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for range ahead.Load(ctx, make([]int, 1000), double) {
		cancel()
		n++
	}
	if n > 2*ahead.Parts+2 {
		t.Errorf("%d parts come after the end", n)
	}
}

// TestLook: values come in order and looked at, an error where it was, and who stops
// leaves nothing running.
func TestLook(t *testing.T) {
	end, running := errors.New("the end"), false
	count := func(n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			running = true
			defer func() { running = false }()
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			yield(0, end)
		}
	}
	double := func(i *int) { *i *= 2 }
	for _, n := range []int{0, 1, 127, 128, 129, 5000} {
		want := 0
		for i, err := range ahead.Look(count(n), double) {
			switch {
			case err != nil && (want != n || err != end):
				t.Errorf("%v after %d of %d", err, want, n)
			case err == nil && i != 2*want:
				t.Fatalf("%d where %d must be", i, 2*want)
			case err == nil:
				want++
			}
		}
		if want != n || running {
			t.Errorf("%d of %d came; still running: %t", want, n, running)
		}
	}
	for range ahead.Look(count(1_000_000), double) {
		break
	}
	if running {
		t.Error("it is still read when it has ended")
	}
}

// TestTogether: all are called at once, and have returned when it does.
func TestTogether(t *testing.T) {
	var met sync.WaitGroup
	met.Add(3)
	var done atomic.Int32
	ahead.Together(3, func(i int) {
		met.Done()
		met.Wait() // for all others
		done.Add(int32(1 << i))
	})
	if done.Load() != 7 {
		t.Errorf("%b", done.Load())
	}
}
