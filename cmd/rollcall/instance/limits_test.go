package instance

import "testing"

// finding M9
//
// TestWatchLimit: watches never take more than their share of memory, but a few
// are always there.
func TestWatchLimit(t *testing.T) {
	for memory, want := range map[uint64]int{0: 100, 256 << 20: 100, 2 << 30: 512, 16 << 30: 4096, 1 << 50: 10_000} {
		if got := watchLimit(memory); got != want {
			t.Errorf("%d MB: %d watches, want %d", memory>>20, got, want)
		}
	}
	if got := memoryThere(); got < 16<<20 || got > 1<<50 {
		t.Errorf("%d bytes of memory", got)
	}
	if files := openFiles(); files < 16 {
		t.Errorf("%d files", files)
	}
}
