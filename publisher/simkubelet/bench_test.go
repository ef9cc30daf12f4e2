package simkubelet_test

import (
	"context"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

// BenchmarkPods makes, runs and ends 1,000 pods on as many nodes, through a
// log in memory, an executor and the kubelets.
func BenchmarkPods(b *testing.B) {
	const nodes = 1000
	var facts events.Seq
	for b.Loop() {
		c := newCluster(b, nodes)
		parties := []drive.Party{executor.New(c.s, executor.LogWorld{}), simkubelet.New(c.s, simkubelet.Options{})}
		var seq events.Seq
		for _, do := range []events.Verb{events.CreatePod, events.DeletePod} {
			c.plan(do)
			seq = run(b, c, parties, seq)
		}
		facts = seq
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(facts), "ns/event")
}

// run drives parties in this goroutine until nothing is due.
func run(b *testing.B, c *cluster, parties []drive.Party, seq events.Seq) events.Seq {
	b.Helper()
	for {
		moved := false
		for e, err := range c.log.Read(context.Background(), seq) {
			if err != nil {
				b.Fatal(err)
			}
			for _, p := range parties {
				p.Observe(e, time.Now())
			}
			seq, moved = e.Seq, true
		}
		for _, p := range parties {
			for _, s := range p.Due(time.Now(), drive.DefaultInFlight) {
				p.Done(s, s.Perform(context.Background(), drive.Log{Log: c.log}), time.Now())
				moved = true
			}
		}
		if !moved {
			return seq
		}
	}
}
