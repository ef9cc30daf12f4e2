package scenes

import (
	"flag"
	"testing"
)

var largeEvents = flag.Int("large-events", 1_000_000, "events of the recording that BenchmarkLarge makes")

// BenchmarkLarge makes the large recording, if it is not there.
func BenchmarkLarge(b *testing.B) {
	for b.Loop() {
		Large(b, *largeEvents)
	}
}
