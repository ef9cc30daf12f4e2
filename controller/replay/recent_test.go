package replay_test

import (
	"encoding/json"
	"testing"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/projector/story"
)

// TestRecent: who folds a log tells of its last events what a history of it tells, and
// of others that it does not know them; also with events before joined to them.
func TestRecent(t *testing.T) {
	r, err := recording.Open("../../testdata/recordings/bad-image.rollcall")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h, err := replay.Open(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := h.Span().Last
	if last < 450 {
		t.Fatalf("a recording of %d events", last)
	}
	told := func(from events.Seq) *replay.Recent {
		x := &replay.Recent{}
		err := h.Walk(t.Context(), from, last, replay.Visit{
			Before: func(s *projector.State, e events.Event) error { x.Before(s, e); return nil },
			After:  func(_ *projector.State, e events.Event) error { x.After(e); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	const from, joined = 200, 100
	x := told(from)
	same := func(f story.Filter, after, to events.Seq, limit int) {
		t.Helper()
		want, upto, err := h.Steps(t.Context(), f, after, to, limit)
		is, looked, known := x.Steps(f, after, to, limit)
		a, _ := json.Marshal(is)
		b, _ := json.Marshal(want)
		if err != nil || !known || looked != upto || string(a) != string(b) {
			t.Errorf("after #%d up to #%d: known %v, looked #%d of #%d, %v\n%s\n%s", after, to, known, looked, upto, err, a, b)
		}
	}
	for _, f := range []story.Filter{{}, {Types: []string{"pod.*"}}, {DaemonSet: events.Key{Namespace: "kube-system", Name: "node-agent"}}} {
		same(f, from, last, 100)
		same(f, last-100, last, 500)
		same(f, from, from+1, 1)
	}
	for _, span := range [][2]events.Seq{{from - 1, last}, {from, last + 1}, {last, last}} {
		if _, _, known := x.Steps(story.Filter{}, span[0], span[1], 1); known {
			t.Errorf("it knows #%d to #%d", span[0], span[1])
		}
	}
	x.Join(told(joined), last)
	same(story.Filter{}, joined, from+50, 500)
	x.Join(&replay.Recent{}, last)
	same(story.Filter{}, joined, last, 500)

	many := &replay.Recent{}
	for i := range events.Seq(3*replay.MaxRecent + 7) {
		many.After(events.Event{Seq: i + 1, Body: events.Unreadable{}})
	}
	end := events.Seq(3*replay.MaxRecent + 7)
	if all, _, known := many.Steps(story.Filter{}, end-replay.MaxRecent, end, replay.MaxRecent); !known || len(all) != replay.MaxRecent || all[0].Seq != end-replay.MaxRecent+1 || all[len(all)-1].Seq != end {
		t.Errorf("of many it knows the last: %v, %d of them", known, len(all))
	}
	if _, _, known := many.Steps(story.Filter{}, end-2*replay.MaxRecent-1, end, 1); known {
		t.Error("it keeps all events")
	}
}
