package recording_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/events/recording"
	"rollcall/events/stream"
)

// BenchmarkRead reads the same log from the embedded stream, by a bare ordered
// consumer, and from a recording of it, in turns, decoded and not folded, and
// reports both and the ratio.
func BenchmarkRead(b *testing.B) {
	const n = 100_000
	es := sample(b, n, 1500)
	r := open(b, write(b, recording.Options{}, es))
	consume := embedded(b, es)
	var bare, rec time.Duration
	for b.Loop() {
		start := time.Now()
		consume()
		bare += time.Since(start)
		start = time.Now()
		got := 0
		for _, err := range r.Read(b.Context(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			got++
		}
		if got != n {
			b.Fatal(got)
		}
		rec += time.Since(start)
	}
	b.ReportMetric(n*float64(b.N)/bare.Seconds(), "bare/s")
	b.ReportMetric(n*float64(b.N)/rec.Seconds(), "recording/s")
	b.ReportMetric(bare.Seconds()/rec.Seconds(), "recording/bare")
}

// embedded puts events in a stream of the embedded server and returns what reads
// all of it with a bare ordered consumer.
func embedded(b *testing.B, es []events.Event) (consume func()) {
	b.Helper()
	srv, err := natsd.Start(b.Context(), natsd.Options{Cluster: "test", Durability: natsd.Relaxed})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Close() })
	nc, err := srv.Connect()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	subjects, err := events.NewSubjects("test")
	if err != nil {
		b.Fatal(err)
	}
	log, err := stream.Open(b.Context(), nc, subjects, stream.Options{Create: true, Own: true, BatchFrom: stream.BatchFromRelaxed})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(es); i += 500 {
		var batch []events.Entry
		for _, e := range es[i:min(i+500, len(es))] {
			batch = append(batch, events.Entry{Event: e})
		}
		if _, err := log.Append(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		c, err := js.OrderedConsumer(b.Context(), subjects.Stream(), jetstream.OrderedConsumerConfig{})
		if err != nil {
			b.Fatal(err)
		}
		it, err := c.Messages(jetstream.PullMaxMessages(5000))
		if err != nil {
			b.Fatal(err)
		}
		defer it.Stop()
		for range es {
			if _, err := it.Next(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

var (
	huge  = flag.Int64("huge", 256<<20, "bytes of the events of BenchmarkHuge")
	alike = flag.Int64("huge-alike", 1, "how many events after one another have the same object")
)

// BenchmarkHuge makes a recording of -huge bytes of events, verifies it, reads all
// of it, and events of it at random, and fails if the process had more than 256
// MiB of memory. With -huge-alike 1 nothing can be packed, and the file is as
// large; with more it is smaller. 10 GB:
//
//	go test ./events/recording -run '^$' -bench Huge -benchtime 1x -huge 10000000000 -huge-alike 100
func BenchmarkHuge(b *testing.B) {
	debug.FreeOSMemory() // of the benchmarks before
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Skip(err)
	}
	path := filepath.Join(b.TempDir(), "huge.rollcall")
	w := create(b, path, recording.Options{})
	e := sample(b, 1, 100)[0]
	random := rand.NewChaCha8([32]byte{1})
	body := e.Body.(events.Object)
	body.Data = append([]byte{0x81, 0xa4, 's', 'p', 'e', 'c', 0xc5, 0x05, 0xdc}, make([]byte, 1500)...)
	e.Body = body
	n := *huge / 1700
	for i := range n {
		if i%*alike == 0 {
			_, _ = random.Read(body.Data[9:]) // it never fails
		}
		raw, err := events.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		e.Seq, e.Stored, e.Raw = events.Seq(i+1), epoch.Add(time.Duration(i)*time.Millisecond), raw
		if err := w.Append(e); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	r := open(b, path)
	if err := r.Verify(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var all, some time.Duration
	pick := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		start := time.Now()
		got := int64(0)
		for _, err := range r.Read(b.Context(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			got++
		}
		if got != n {
			b.Fatalf("%d events, want %d", got, n)
		}
		all += time.Since(start)
		start = time.Now()
		for range 100 {
			for e, err := range r.Read(b.Context(), events.Seq(pick.Int64N(n))) {
				if at, atErr := r.At(e.Stored); err != nil || atErr != nil || at != e.Seq {
					b.Fatalf("#%d is at #%d: %v %v", e.Seq, at, err, atErr)
				}
				break
			}
		}
		some += time.Since(start)
	}
	if info, err := os.Stat(path); err == nil {
		b.ReportMetric(float64(info.Size())/1e6, "file-MB")
	}
	peak := peakMemory(b)
	b.ReportMetric(float64(n)*float64(b.N)/all.Seconds(), "events/s")
	b.ReportMetric(some.Seconds()/float64(100*b.N)*1000, "ms/find")
	b.ReportMetric(peak, "peak-MiB")
	if peak > 256 {
		b.Errorf("the process had %.0f MiB", peak)
	}
}

// peakMemory returns the most memory that the process has had, in MiB.
func peakMemory(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatal("the kernel does not say")
	return 0
}
