package blocks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchStore is a log of 16 full blocks with records of 600 bytes.
func benchStore(b *testing.B) (s *Store, records int) {
	b.Helper()
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, messages), 0o700); err != nil {
		b.Fatal(err)
	}
	var all [][]byte
	seq := uint64(1)
	for i := range 16 {
		var es []entry
		for size := 0; size < 8<<20; size += 600 {
			e := fact(seq)
			e.body += strings.Repeat("x", 480)
			es = append(es, e)
			seq++
		}
		all = append(all, encode(i+1, es...))
	}
	return storeOf(b, all...), int(seq - 1)
}

// BenchmarkCheck is the check of a log that is in the system's cache.
func BenchmarkCheck(b *testing.B) {
	s, n := benchStore(b)
	b.SetBytes(s.Size())
	began := processorTime(b)
	for b.Loop() {
		if rep, err := s.Check(b.Context(), nil); err != nil || int(rep.Last) != n {
			b.Fatalf("%+v, %v", rep, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(n)*float64(b.N)/(processorTime(b)-began).Seconds(), "records/cpu-s")
}

// processorTime is what the process has used, which others on the machine do
// not change as they do the time on the wall.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkRead is reading it as events.
func BenchmarkRead(b *testing.B) {
	s, n := benchStore(b)
	b.SetBytes(s.Size())
	for b.Loop() {
		got := 0
		for _, err := range s.Read(b.Context(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			got++
		}
		if got != n {
			b.Fatalf("%d of %d", got, n)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
