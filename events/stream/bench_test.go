package stream

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/natsd"
)

// podFact is a fact of about the size of a pod without managed fields.
func podFact(i int) events.Event {
	var id ulid.ULID
	copy(id[6:], fmt.Sprintf("%010d", i))
	data := append([]byte{0x81, 0xa4, 's', 'p', 'e', 'c', 0xc5, 0x05, 0xdc}, make([]byte, 1500)...)
	return events.Event{ID: id, Type: "pod.updated", Source: "kubelet", At: time.Unix(1700000000, 0),
		Body: events.Object{Ref: events.Ref{Kind: events.Pod, UID: "11111111-2222-3333-4444-555555555555",
			Key: events.Key{Namespace: "default", Name: "agent-" + strconv.Itoa(i%5000)}}, Data: data}}
}

func benchLog(b *testing.B, d natsd.Durability) *Log {
	b.Helper()
	o := Options{Create: true}
	if d == natsd.Relaxed {
		o.BatchFrom = BatchFromRelaxed
	}
	l, err := Open(b.Context(), mustConnect(b, mustServer(b, natsd.Options{Durability: d})), mustSubjects(b), o)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func fill(b *testing.B, l *Log, n int) {
	b.Helper()
	var batch []events.Entry
	for i := range n {
		batch = append(batch, events.Entry{Event: podFact(i)})
		if len(batch) == maxBatch || i == n-1 {
			if _, err := l.Append(b.Context(), batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

// BenchmarkReplay reads a stream with a bare ordered consumer and as a log, in
// turns, and reports both and the ratio.
func BenchmarkReplay(b *testing.B) {
	const n = 100_000
	l := benchLog(b, natsd.Relaxed)
	fill(b, l, n)
	var bare, log time.Duration
	for b.Loop() {
		start := time.Now()
		c, err := l.js.OrderedConsumer(b.Context(), l.subjects.Stream(), jetstream.OrderedConsumerConfig{})
		if err != nil {
			b.Fatal(err)
		}
		it, err := c.Messages(jetstream.PullMaxMessages(window))
		if err != nil {
			b.Fatal(err)
		}
		for range n {
			if _, err := it.Next(); err != nil {
				b.Fatal(err)
			}
		}
		it.Stop()
		bare += time.Since(start)
		start = time.Now()
		read := 0
		for _, err := range l.Read(b.Context(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			read++
		}
		if read != n {
			b.Fatalf("read %d events, want %d", read, n)
		}
		log += time.Since(start)
	}
	b.ReportMetric(n*float64(b.N)/bare.Seconds(), "bare/s")
	b.ReportMetric(n*float64(b.N)/log.Seconds(), "log/s")
	b.ReportMetric(bare.Seconds()/log.Seconds(), "log/bare")
}

// BenchmarkAppend appends from some goroutines at once.
func BenchmarkAppend(b *testing.B) {
	for name, d := range map[string]natsd.Durability{"sync": natsd.Sync, "relaxed": natsd.Relaxed} {
		for _, writers := range []int{1, 9, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", name, writers), func(b *testing.B) {
				l := benchLog(b, d)
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							if _, err := l.Append(b.Context(), events.Entry{Event: podFact(int(i))}); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
