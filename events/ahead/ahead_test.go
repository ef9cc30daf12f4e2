package ahead_test

import (
	"context"
	"slices"
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
