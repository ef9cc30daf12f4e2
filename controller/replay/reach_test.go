package replay_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/events/recording"
)

// TestWhyAt asks why every object that a log has told of is as it is, at several
// positions, once with the causes of the whole log and once with as few as may do:
// both say the same. It does so over the recordings and over random histories (N1).
func TestWhyAt(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "recordings", "*.rollcall"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	short := 0
	for _, file := range files {
		r, err := recording.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		short += askShort(t, r)
	}
	for seed := range uint64(10) {
		short += askShort(t, simtest.Run(seed, simtest.Options{}).Log())
	}
	if short < 400 {
		t.Errorf("%d chains were told without the whole log", short)
	}
	t.Logf("%d chains were told without the whole log", short)
}

// TestEffectsFromHere follows events forwards with the causes since them, and with
// those of the whole log: both say the same.
func TestEffectsFromHere(t *testing.T) {
	for seed := range uint64(10) {
		h, err := replay.Open(t.Context(), simtest.Run(seed, simtest.Options{}).Log(), replay.NewMemoryKeyframes(13, 1<<30))
		if err != nil {
			t.Fatal(err)
		}
		last := h.Span().Last
		if _, err := h.At(t.Context(), last); err != nil { // makes the keyframes
			t.Fatal(err)
		}
		whole := causes(t, h)
		for seq := events.Seq(14); seq <= last; seq += 11 {
			since, err := h.CausesSince(t.Context(), seq-1, last)
			if err != nil {
				t.Fatal(err)
			}
			want, err1 := h.Effects(t.Context(), whole, seq, 20)
			got, err2 := h.Effects(t.Context(), since, seq, 20)
			if err1 != nil || err2 != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("seed %d, #%d: %v, %v\n got %+v\nwant %+v", seed, seq, err1, err2, got, want)
			}
		}
	}
}

// askShort compares the answers over one log, and returns how many of them did not
// need all of it.
func askShort(t *testing.T, log replay.Log) (short int) {
	t.Helper()
	h, err := replay.Open(t.Context(), log, replay.NewMemoryKeyframes(13, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	h.Reach(20)
	last := h.Span().Last
	for _, at := range []events.Seq{last / 3, last * 2 / 3, last} {
		if at == 0 {
			continue
		}
		if _, err := h.At(t.Context(), at); err != nil { // makes the keyframes
			t.Fatal(err)
		}
		cs := causes(t, h)
		if at != last {
			if cs, err = h.Causes(t.Context(), at); err != nil {
				t.Fatal(err)
			}
		}
		for _, kind := range []events.Kind{events.Pod, events.Node, events.DaemonSet, events.ControllerRevision} {
			keys, err := h.Keys(t.Context(), kind, at)
			if want := cs.Keys(kind); err != nil || len(keys) < len(want) {
				t.Errorf("#%d: %d names of kind %s, want %d: %v", at, len(keys), kind, len(want), err)
			}
			for i, key := range cs.Keys(kind) {
				if kind == events.Pod && i%7 > 0 {
					continue
				}
				about := replay.Subject{Kind: kind, Key: key}
				want, err1 := h.Why(t.Context(), cs, about)
				got, err2 := h.WhyAt(t.Context(), at, about)
				if err1 != nil || err2 != nil {
					t.Fatalf("#%d %s %s: %v, %v", at, kind, key, err1, err2)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("#%d %s %s:\n got %+v\nwant %+v", at, kind, key, got, want)
				}
				part, err := h.CausesOf(t.Context(), want.Steps[0].Seq)
				if err != nil {
					t.Fatal(err)
				}
				if part.Since() > 1 {
					short++
				}
			}
		}
	}
	return short
}
