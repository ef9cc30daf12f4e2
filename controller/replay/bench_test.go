package replay_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rollcall/controller/condition"
	"rollcall/controller/invariant"
	"rollcall/controller/replay"
	"rollcall/controller/scenes"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
)

// largeEvents is how many events the recording has that benchmarks ask.
const largeEvents = 1_000_000

// framesOf are the keyframes of a recording.
type framesOf struct{ *recording.Recording }

func (f framesOf) Newest(_ context.Context, at events.Seq) (events.Seq, []byte, error) {
	k, ok := f.Recording.Newest("state", projector.KeyframeFormat, at)
	if !ok {
		return 0, nil, nil
	}
	x, err := f.Keyframe(k)
	return k.At.Seq, x.Data, err
}

func (f framesOf) Add(context.Context, *projector.State) error { return nil }

// large returns the history of the large recording, opened anew.
func large(b *testing.B) *replay.History {
	b.Helper()
	r, err := recording.Open(scenes.Large(b, largeEvents))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close() })
	h, err := replay.Open(b.Context(), r, framesOf{r})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// durations are how long each of many questions took.
type durations []time.Duration

func (ds *durations) since(start time.Time) { *ds = append(*ds, time.Since(start)) }

func (ds durations) report(b *testing.B) {
	slices.Sort(ds)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(ds[len(ds)/2]), "p50-ms")
	b.ReportMetric(ms(ds[len(ds)*95/100]), "p95-ms")
	b.ReportMetric(ms(ds[len(ds)-1]), "max-ms")
}

// BenchmarkState asks for the state at 100 instants at random. p95 is to be no
// more than 300 ms.
func BenchmarkState(b *testing.B) {
	h := large(b)
	pick := rand.New(rand.NewPCG(1, 1))
	var took durations
	for b.Loop() {
		for range 100 {
			at := 1 + events.Seq(pick.Uint64N(uint64(h.Span().Last)))
			start := time.Now()
			if s, err := h.At(b.Context(), at); err != nil || s.Seq() != at {
				b.Fatal(s, err)
			}
			took.since(start)
		}
	}
	took.report(b)
}

// BenchmarkWhy asks why 100 pods at random are as they are, when the log has been
// read once for what comes from what. It is to take no more than 100 ms.
func BenchmarkWhy(b *testing.B) {
	h := large(b)
	start := time.Now()
	cs, err := h.Causes(b.Context(), h.Span().Last)
	if err != nil {
		b.Fatal(err)
	}
	opened := time.Since(start)
	pods := cs.Keys(events.Pod)
	pick := rand.New(rand.NewPCG(1, 1))
	var took durations
	for b.Loop() {
		for range 100 {
			start := time.Now()
			x, err := h.Why(b.Context(), cs, replay.Subject{Kind: events.Pod, Key: pods[pick.IntN(len(pods))]})
			if err != nil || !x.Known {
				b.Fatal(x, err)
			}
			took.since(start)
		}
	}
	took.report(b)
	b.ReportMetric(opened.Seconds(), "open-s")
}

// BenchmarkWhyAt asks the same of ten of them one by one, each for itself. It is to
// take about a second.
func BenchmarkWhyAt(b *testing.B) {
	h := large(b)
	last := h.Span().Last
	pods, err := h.Keys(b.Context(), events.Pod, last)
	if err != nil {
		b.Fatal(err)
	}
	pick := rand.New(rand.NewPCG(1, 1))
	var took durations
	for b.Loop() {
		for range 10 {
			start := time.Now()
			x, err := h.WhyAt(b.Context(), last, replay.Subject{Kind: events.Pod, Key: pods[pick.IntN(len(pods))]})
			if err != nil || !x.Known {
				b.Fatal(x, err)
			}
			took.since(start)
		}
	}
	took.report(b)
}

// BenchmarkWhyNot asks at the end what holds back a DaemonSet, and a node on which
// it never was: what has been so since the revision of the present template.
func BenchmarkWhyNot(b *testing.B) {
	for _, node := range []string{"", "node-0002"} {
		b.Run("node="+node, func(b *testing.B) {
			h := large(b)
			last := h.Span().Last
			s, err := h.At(b.Context(), last)
			if err != nil {
				b.Fatal(err)
			}
			at := replay.Moment{Point: replay.Point{Seq: last, Time: s.Time()}, Now: s.Time()}
			of := s.DaemonSet(events.Key{Namespace: "kube-system", Name: "zone-proxy"}).Ref()
			since := last
			b.ResetTimer()
			for b.Loop() {
				x, err := h.WhyNot(b.Context(), at, of, node)
				if err != nil || len(x.Blockers) == 0 || x.Blockers[0].Since == nil {
					b.Fatal(x, err)
				}
				since = x.Blockers[0].Since.Seq
			}
			b.ReportMetric(float64(last-since), "events-back")
		})
	}
}

// BenchmarkCheck holds all events against invariants, and against expressions. A
// million of them is to take no more than 5 s.
func BenchmarkCheck(b *testing.B) {
	all, err := invariant.Named()
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, ps replay.Properties) {
		b.Run(name, func(b *testing.B) {
			h := large(b)
			var took time.Duration
			n := 0
			for b.Loop() {
				start := time.Now()
				x, err := h.Check(b.Context(), ps, 1, h.Span().Last)
				if err != nil || len(x.Broken) > 0 {
					b.Fatalf("%+v, %v", x, err)
				}
				took, n = took+time.Since(start), n+x.Events
			}
			b.ReportMetric(float64(n)/took.Seconds(), "events/s")
			b.ReportMetric(took.Seconds()/float64(n)*1e6, "s/million")
		})
	}
	run("invariants", replay.Properties{Invariants: all})
	for name, text := range map[string]string{
		"event": `event.type != "object.Pod.deleted" || event.source != "nobody"`,
		"pod":   `!has(pod.spec) || pod.spec.nodeName != "node-9999"`,
		"state": `state.counts["kube-system/node-agent"].available >= 0`,
	} {
		c, err := condition.Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		run(name, replay.Properties{Condition: c})
	}
}

// BenchmarkFromHere asks what is not to take more than a few seconds: what has
// changed over all of the log and over its end, which rollouts there were, and what
// the templates of some of them have led to.
func BenchmarkFromHere(b *testing.B) {
	run := func(name string, ask func(b *testing.B, h *replay.History, last events.Seq) error) {
		b.Run(name, func(b *testing.B) {
			h := large(b)
			for b.Loop() {
				if err := ask(b, h, h.Span().Last); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	diff := func(back events.Seq) func(*testing.B, *replay.History, events.Seq) error {
		return func(b *testing.B, h *replay.History, last events.Seq) error {
			_, err := h.Diff(b.Context(), last-min(back, last-1), last, replay.Filter{})
			return err
		}
	}
	run("diff/all", diff(largeEvents*2))
	run("diff/last-15000", diff(15_000))
	var all []*replay.Rollout
	run("rollouts", func(b *testing.B, h *replay.History, last events.Seq) (err error) {
		all, err = h.Rollouts(b.Context(), last)
		return err
	})
	run("effects", func(b *testing.B, h *replay.History, last events.Seq) error {
		var took durations
		for i := 0; i < len(all); i += 10 {
			start := time.Now()
			if _, err := h.EffectsOf(b.Context(), all[i].Start.Seq, last, 20); err != nil {
				return err
			}
			took.since(start)
		}
		took.report(b)
		return nil
	})
}
