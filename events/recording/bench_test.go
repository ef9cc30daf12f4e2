package recording_test

import (
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
	log, err := stream.Open(b.Context(), nc, subjects, stream.Options{Create: true, Gather: stream.GatherRelaxed})
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
