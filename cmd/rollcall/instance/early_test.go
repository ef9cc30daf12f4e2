package instance

import (
	"testing"
	"time"

	"rollcall/events/natsd"
	"rollcall/publisher/simkubelet"
)

// TestEarliest: the newest keyframe in the files of a directory is the one that the
// server has, and what an instance goes on from.
func TestEarliest(t *testing.T) {
	sandbox(t)
	before := keyframeIdle
	keyframeIdle = 50 * time.Millisecond
	defer func() { keyframeIdle = before }()
	o := Options{Nodes: 2, Data: t.TempDir(), Durability: natsd.Relaxed, Controllers: []string{ownController}, Patience: patience}
	in, _ := start(t, o)
	if from := earliest(t.Context(), t.TempDir(), in.Subjects, nil); from != nil {
		t.Errorf("an empty directory has the keyframe of #%d", from.frame.Seq)
	}
	populate(t, in)
	newest := awaitKeyframe(t, in, 1)
	mustStop(t, in)

	world := simkubelet.New(in.Subjects, in.Delays)
	from := earliest(t.Context(), o.Data, in.Subjects, world)
	if from == nil || from.frame.Seq < newest {
		t.Fatalf("%+v in the files, and the newest is of #%d", from, newest)
	}
	if from.world != world {
		t.Error("the world has not observed what was read")
	}
	in, _ = start(t, o)
	if in.From != from.frame.Seq {
		t.Errorf("it went on from #%d, and the files have #%d", in.From, from.frame.Seq)
	}
	s := shelf{in.Log.Log, in.Subjects, in.frames, nil}
	if !s.isNewest(t.Context(), from.frame, from.frame.Seq) {
		t.Error("what was read before the server had started is not what it has")
	}
	other := from.frame
	other.Chain[0] ^= 1
	if s.isNewest(t.Context(), other, other.Seq) || s.isNewest(t.Context(), from.frame, from.frame.Seq-1) {
		t.Error("a keyframe that is not wanted is taken for the newest one")
	}
	wantFold(t, in)
	mustStop(t, in)
}
