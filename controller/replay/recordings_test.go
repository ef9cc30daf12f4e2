package replay_test

import (
	"path/filepath"
	"testing"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
)

// TestRecordings: in every recording, whatever happened to a pod is explained
// back to what came from outside.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "recordings", "*.rollcall"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r, err := recording.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			h := open(t, r)
			cs := causes(t, h)
			pods := 0
			for e, err := range r.Read(t.Context(), 0) {
				if err != nil {
					t.Fatal(err)
				}
				if events.RefOf(e).Kind != events.Pod {
					continue
				}
				pods++
				chain := cs.Chain(replay.Link{Seq: e.Seq, Index: -1})
				last := chain[len(chain)-1]
				if _, command := last.Command(); command {
					t.Errorf("#%d %s comes from %v, which comes from nothing", e.Seq, e.Type, last)
				}
				if of, err := h.Event(t.Context(), last.Seq); err != nil || of.Source == "controller" || of.Source == "executor" {
					t.Errorf("#%d %s comes from #%d, which %s has told (%v)", e.Seq, e.Type, last.Seq, of.Source, err)
				}
			}
			for _, key := range cs.Keys(events.Pod) {
				if x, err := h.Why(t.Context(), cs, replay.Subject{Kind: events.Pod, Key: key}); err != nil || !x.Known {
					t.Errorf("%s: %v, %+v", key, err, x)
				}
			}
			t.Logf("%d facts about pods", pods)
		})
	}
}
