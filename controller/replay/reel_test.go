package replay_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rollcall/controller/condition"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
)

func hashOf(t *testing.T, s *projector.State) string {
	t.Helper()
	data, err := s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	return projector.Hash(data)
}

func frameText(t *testing.T, f *replay.Frame) string {
	t.Helper()
	if !f.Replay {
		t.Errorf("#%d does not say that it is a replay", f.Seq)
	}
	j, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(j)
}

// TestReel: wherever a reel goes, and from wherever, it shows the same frame, and
// its state is that of the history there. Every plan is shown once.
func TestReel(t *testing.T) {
	for _, name := range recordings {
		t.Run(name, func(t *testing.T) {
			rec := recorded(t, name)
			h := open(t, rec)
			reel, err := h.Reel(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			last := h.Span().Last
			var frames []string
			var plans, recordedPlans []events.Seq
			if _, err := reel.Play(t.Context(), 1, last, nil, func(f *replay.Frame) error {
				frames = append(frames, frameText(t, f))
				for _, d := range f.Decisions {
					plans = append(plans, d.Seq)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for e, err := range rec.Read(t.Context(), 0) {
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := e.Body.(*events.Plan); ok {
					recordedPlans = append(recordedPlans, e.Seq)
				}
			}
			slices.Sort(plans)
			if !slices.Equal(plans, recordedPlans) || len(frames) != int(last) {
				t.Errorf("%d frames with plans %v, want %v", len(frames), plans, recordedPlans)
			}
			random := rand.New(rand.NewPCG(1, 1))
			at := last
			for range 60 {
				switch random.IntN(3) {
				case 0:
					at = 1 + events.Seq(random.Uint64N(uint64(last)))
				case 1:
					at = max(1, at-1)
				default:
					at = min(last, at+1)
				}
				f, err := reel.Frame(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				if got := frameText(t, f); got != frames[at-1] {
					t.Fatalf("#%d: %s, want %s", at, got, frames[at-1])
				}
				s, err := open(t, rec).At(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := hashOf(t, reel.State()), hashOf(t, s); got != want {
					t.Fatalf("#%d: the state is %s, want %s", at, got, want)
				}
			}
			waves, err := reel.Waves(t.Context())
			if err != nil || len(waves) == 0 || len(waves) > len(reel.Decided()) {
				t.Errorf("%d waves, %d decisions, %v", len(waves), len(reel.Decided()), err)
			}
		})
	}
}

// TestReelFrame: a frame has the event with what was before and is after, and what
// was decided on it.
func TestReelFrame(t *testing.T) {
	reel, err := open(t, recorded(t, "stuck-node")).Reel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := reel.Frame(t.Context(), 190)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(f.Fields, func(x story.Field) bool {
		return x.Path == "status.conditions.Ready.status" && x.Old == "True" && x.New == "False"
	})
	if i < 0 || len(f.Counts) != 1 || f.Counts[0].Before.Available != 24 || f.Counts[0].After.Available != 23 {
		t.Errorf("%+v", f)
	}
	if len(f.Decisions) != 1 || f.Decisions[0].Seq != 191 || f.Decisions[0].Commands[0].Reason != events.Rollout {
		t.Errorf("%+v", f.Decisions)
	}
	if _, err := reel.Frame(t.Context(), 439); err == nil {
		t.Error("a frame after the end")
	}
}

// TestReelUntil: a reel is played until something is true.
func TestReelUntil(t *testing.T) {
	reel, err := open(t, recorded(t, "stuck-node")).Reel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for expr, want := range map[string]events.Seq{
		`state.counts["kube-system/node-agent"].available < 24`: 190,
		`event.seq == 154`: 154,
		`false`:            0,
	} {
		c, err := condition.Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		last := events.Seq(0)
		met, err := reel.Play(t.Context(), 154, 438, c, func(f *replay.Frame) error { last = f.Seq; return nil })
		if err != nil || met != (want > 0) || met && last != want {
			t.Errorf("%s: %v at #%d, %v, want #%d", expr, met, last, err, want)
		}
	}
}

// TestReelWritesNothing: playing a recording leaves its file as it is.
func TestReelWritesNothing(t *testing.T) {
	path := filepath.Join("..", "..", "testdata", "recordings", "clean-roll.rollcall")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reel, err := open(t, recorded(t, "clean-roll")).Reel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reel.Play(t.Context(), 1, reel.Span().Last, nil, func(*replay.Frame) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the recording has changed: %v", err)
	}
}
