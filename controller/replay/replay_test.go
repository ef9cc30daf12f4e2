package replay_test

import (
	"context"
	"errors"
	"testing"

	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/projector"
)

// seeds are the histories that the tests ask.
var seeds = []uint64{3, 10, 11, 24}

func open(t *testing.T, log replay.Log) *replay.History {
	t.Helper()
	h, err := replay.Open(t.Context(), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func causes(t *testing.T, h *replay.History) *replay.Causes {
	t.Helper()
	cs, err := h.Causes(t.Context(), h.Span().Last)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func all(t *testing.T, log events.Reader) (es []events.Event) {
	t.Helper()
	screen := events.NewScreen()
	for e, err := range log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, screen.Take(e))
	}
	return es
}

func hash(t *testing.T, s *projector.State) string {
	t.Helper()
	raw, err := s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	return projector.Hash(raw)
}

// TestAt: the state at a position is the one that a walk comes by there, and is
// like no other.
func TestAt(t *testing.T) {
	log := simtest.Run(seeds[0], simtest.Options{}).Log()
	h := open(t, log)
	last := h.Span().Last
	hashes := map[string]events.Seq{}
	at := map[events.Seq]string{}
	err := h.Walk(t.Context(), 0, last, replay.Visit{
		Before: func(s *projector.State, e events.Event) error {
			if s.Seq() != e.Seq-1 {
				t.Fatalf("before #%d the state is at #%d", e.Seq, s.Seq())
			}
			return nil
		},
		After: func(s *projector.State, e events.Event) error {
			if e.Seq%50 == 0 || e.Seq == last {
				sum := hash(t, s)
				if other := hashes[sum]; other != 0 {
					t.Errorf("the states at #%d and #%d have one hash", other, e.Seq)
				}
				hashes[sum], at[e.Seq] = e.Seq, sum
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := replay.Open(t.Context(), log, replay.NewMemoryKeyframes(7, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*replay.History{h, again, again} { // with keyframes, the second time from them
		for seq, want := range at {
			s, err := h.At(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			if got := hash(t, s); got != want || s.Seq() != seq {
				t.Errorf("the state at #%d is another when it is folded alone", seq)
			}
			if err := s.Check(); err != nil {
				t.Errorf("the state at #%d: %v", seq, err)
			}
		}
	}
}

// others are keyframes of another log, or of none.
type others struct{ data []byte }

func (o others) Newest(_ context.Context, at events.Seq) (events.Seq, []byte, error) {
	return at / 10 * 10, o.data, nil
}

func (o others) Add(context.Context, *projector.State) error { return nil }

// TestKeyframesOfOthers: a keyframe of another log, of another position or of
// another format is not used, nor the one before it, nor any.
func TestKeyframesOfOthers(t *testing.T) {
	other := open(t, simtest.Run(seeds[1], simtest.Options{}).Log())
	s, err := other.At(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	log := simtest.Run(seeds[0], simtest.Options{}).Log()
	want, err := open(t, log).At(t.Context(), 25)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{data, nil, []byte("no keyframe")} {
		h, err := replay.Open(t.Context(), log, others{data})
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.At(t.Context(), 25)
		if err != nil {
			t.Fatal(err)
		}
		if hash(t, got) != hash(t, want) {
			t.Error("a keyframe of another log was used")
		}
	}
}

// TestRange: what is outside the log is refused, and the end of a walk is told.
func TestRange(t *testing.T) {
	h := open(t, simtest.Run(seeds[0], simtest.Options{}).Log())
	var refused *events.Error
	for _, seq := range []events.Seq{h.Span().Last + 1, 1 << 62} {
		if _, err := h.At(t.Context(), seq); !errors.As(err, &refused) || refused.Code != "E-REPLAY-RANGE" {
			t.Errorf("state at #%d: %v", seq, err)
		}
		if _, err := h.Event(t.Context(), seq); !errors.As(err, &refused) || refused.Code != "E-REPLAY-RANGE" {
			t.Errorf("event at #%d: %v", seq, err)
		}
	}
	if _, err := h.Event(t.Context(), 0); !errors.As(err, &refused) {
		t.Errorf("event at #0: %v", err)
	}
	stop := errors.New("enough")
	n := 0
	err := h.Walk(t.Context(), 10, 20, replay.Visit{After: func(*projector.State, events.Event) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	}})
	if !errors.Is(err, stop) || n != 3 {
		t.Errorf("a walk that was to end after 3 events has gone over %d: %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.At(ctx, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
