package replay

import (
	"context"
	"iter"
	"math/rand/v2"
	"testing"

	"rollcall/events"
)

// ascending is a log of so many events.
type ascending events.Seq

// Read implements events.Reader.
func (c ascending) Read(_ context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for seq := after + 1; seq <= events.Seq(c); seq++ {
			if !yield(events.Event{Seq: seq, Raw: make([]byte, 10)}, nil) {
				return
			}
		}
	}
}

// Info implements Log.
func (c ascending) Info(context.Context) (events.Info, error) {
	return events.Info{Last: events.Seq(c)}, nil
}

// TestNear: whoever is told of an event may read elsewhere meanwhile, and all of
// them get every event once, in order and to the end, however few are kept.
func TestNear(t *testing.T) {
	const last = 400
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := &near{Log: ascending(last), last: last, bound: 10 * r.IntN(last)}
		var read func(at events.Seq, depth int)
		read = func(at events.Seq, depth int) {
			for e, err := range n.Read(t.Context(), at) {
				if at++; err != nil || e.Seq != at {
					t.Fatalf("seed %d: #%d, %v, where #%d must be", seed, e.Seq, err, at)
				}
				switch {
				case depth < 3 && r.IntN(20) == 0: // of what is far
					read(events.Seq(r.IntN(last)), depth+1)
				case depth < 3 && r.IntN(5) == 0: // of what is near
					read(at-min(at, events.Seq(r.IntN(5))), depth+1)
				case r.IntN(20) == 0:
					return
				}
			}
			if at != last {
				t.Fatalf("seed %d: the end is #%d", seed, at)
			}
		}
		for range 5 {
			read(events.Seq(r.IntN(last)), 0)
		}
	}
}

// TestFindWhileTheLogGoesOn: the end is where the question began, whatever came
// since.
func TestFindWhileTheLogGoesOn(t *testing.T) {
	m, err := Instant{}.Find(t.Context(), ascending(20), 12)
	if err != nil || m.Seq != 12 {
		t.Errorf("the end is #%d, %v, and not #12", m.Seq, err)
	}
}
