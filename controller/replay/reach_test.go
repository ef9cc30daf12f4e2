package replay_test

import (
	"fmt"
	"math/rand/v2"
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

// logs opens the recordings and some random histories, with keyframes in short
// distances, and of which little is read at first for what comes from what.
func logs(t *testing.T, visit func(name string, h *replay.History)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "recordings", "*.rollcall"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	begin := func(name string, log replay.Log, every, reach events.Seq) {
		h, err := replay.Open(t.Context(), log, replay.NewMemoryKeyframes(every, 1<<30))
		if err != nil {
			t.Fatal(err)
		}
		h.Reach(reach)
		if _, err := h.At(t.Context(), h.Span().Last); err != nil { // makes the keyframes
			t.Fatal(err)
		}
		visit(name, h)
	}
	for _, file := range files {
		r, err := recording.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		begin(filepath.Base(file), r, 101, 40)
	}
	for seed := range uint64(10) {
		begin(fmt.Sprintf("seed %d", seed), simtest.Run(seed, simtest.Options{}).Log(), 13, 10)
	}
}

// TestEffectsFromHere follows events forwards from where they are and no further than
// they go, and with the causes of the whole log: both say the same.
func TestEffectsFromHere(t *testing.T) {
	asked, short := 0, 0
	logs(t, func(name string, h *replay.History) {
		whole, last := causes(t, h), h.Span().Last
		for seq := events.Seq(1); seq <= last; seq += max(7, last/40) {
			want, err1 := h.Effects(t.Context(), whole, seq, 20)
			got, err2 := h.EffectsOf(t.Context(), seq, last, 20)
			if err1 != nil || err2 != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, #%d: %v, %v\n got %+v\nwant %+v", name, seq, err1, err2, got, want)
			}
			cs, err := h.CausesUntil(t.Context(), seq, last)
			if err != nil {
				t.Fatal(err)
			}
			if asked++; cs.Last() < last {
				short++
			}
		}
	})
	if short < asked/3 {
		t.Errorf("%d of %d events were not followed to the end of the log", short, asked)
	}
	t.Logf("%d of %d events were not followed to the end of the log", short, asked)
}

// TestDiffFromHere compares pairs of instants with as few causes as may do, and with
// those of the whole log: both say the same.
func TestDiffFromHere(t *testing.T) {
	changes := 0
	logs(t, func(name string, h *replay.History) {
		last := h.Span().Last
		pick := rand.New(rand.NewPCG(1, uint64(last)))
		for range 12 {
			from, to := events.Seq(pick.Uint64N(uint64(last))), 1+events.Seq(pick.Uint64N(uint64(last)))
			if from > to {
				from, to = to, from
			}
			want, err1 := h.DiffWhole(t.Context(), from, to, replay.Filter{})
			got, err2 := h.Diff(t.Context(), from, to, replay.Filter{})
			if err1 != nil || err2 != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, #%d to #%d: %v, %v\n got %+v\nwant %+v", name, from, to, err1, err2, got, want)
				continue
			}
			for _, g := range got.Groups {
				changes += len(g.Changes)
			}
		}
	})
	if changes < 1000 {
		t.Errorf("%d changes were compared", changes)
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
