package simtest

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/table"
)

var keyframeHistories = flag.Int("keyframe-histories", 25, "histories of TestKeyframes")

// readBack writes a state and reads it. What was read is checked, and written
// again has the same bytes.
func readBack(t *testing.T, seed uint64, s *projector.State) (*projector.State, []byte) {
	t.Helper()
	data, err := s.Keyframe()
	if err != nil {
		t.Fatalf("seed %d, #%d: %v", seed, s.Seq(), err)
	}
	back, err := projector.ReadKeyframe(data, s.Position().Log, table.New(table.History{}))
	if err != nil {
		t.Fatalf("seed %d, #%d: %v", seed, s.Seq(), err)
	}
	if err := back.Check(); err != nil {
		t.Fatalf("seed %d, #%d: the state that was read back: %v", seed, s.Seq(), err)
	}
	if again, err := back.Keyframe(); err != nil || !bytes.Equal(again, data) {
		t.Fatalf("seed %d, #%d: a keyframe written again is another: %v\n%s\n%s", seed, s.Seq(), err, jsonOf(t, data), jsonOf(t, again))
	}
	return back, data
}

// decided is what a state gives rise to, now and later.
func decided(t *testing.T, s *projector.State) string {
	var b strings.Builder
	for _, after := range []time.Duration{0, 2 * time.Second, time.Hour} {
		now := s.Time().Add(after)
		for _, d := range s.DaemonSets() {
			r := controller.Reconcile(s, d.Key, now)
			fmt.Fprintf(&b, "%s: %d writes, %v, again %v\n", d.Key, len(r.Writes), r.Held, r.RequeueAt)
			if r.Status != nil {
				fmt.Fprintf(&b, "%+v\n", r.Status.Object.(*appsv1.DaemonSet).Status)
			}
			if r.Plan != nil {
				fmt.Fprintf(&b, "%+v\n", *r.Plan)
			}
		}
		if p := controller.PlanGC(s, now); p != nil {
			fmt.Fprintf(&b, "%+v\n", *p)
		}
	}
	return b.String()
}

// TestKeyframes folds each history three times: from its beginning; with the
// state written and read back at every position; and from a keyframe in its
// middle on. At every position all have the same bytes and give rise to the same
// decisions: what a keyframe leaves out it leaves out of both sides. (A2)
func TestKeyframes(t *testing.T) {
	for seed := *first; seed < *first+uint64(*keyframeHistories); seed++ {
		r := Run(seed, Options{})
		whole, each := projector.New("x"), projector.New("x")
		var later *projector.State
		for e, err := range r.history.log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			projector.Fold(whole, e)
			projector.Fold(each, e)
			want, err := whole.Keyframe()
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			if each, got = readBack(t, seed, each); !bytes.Equal(got, want) {
				t.Fatalf("seed %d, #%d %s: folded on from a keyframe:\n%s\nfrom the beginning:\n%s", seed, e.Seq, e.Type, jsonOf(t, got), jsonOf(t, want))
			}
			if is, want := decided(t, each), decided(t, whole); is != want {
				t.Fatalf("seed %d, #%d: decided from a keyframe\n%s\nfrom the beginning\n%s", seed, e.Seq, is, want)
			}
			if later != nil {
				projector.Fold(later, e)
				if got, err := later.Keyframe(); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("seed %d, #%d: folded on for long from a keyframe: %v\n%s\nfrom the beginning:\n%s", seed, e.Seq, err, jsonOf(t, got), jsonOf(t, want))
				}
			}
			if e.Seq == events.Seq(r.Records/2) {
				later, _ = readBack(t, seed, whole)
			}
		}
	}
}

func jsonOf(t *testing.T, keyframe []byte) []byte {
	j, err := wire.ToJSON(keyframe)
	if err != nil {
		t.Error(err)
	}
	return j
}
