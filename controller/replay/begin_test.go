package replay_test

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/projector/table"
)

// later is a log without its beginning, and with the state that was there.
type later struct {
	replay.Log
	keyframe []byte
	begin    events.Seq
}

// Info implements replay.Log.
func (l later) Info(ctx context.Context) (events.Info, error) {
	i, err := l.Log.Info(ctx)
	i.Before = l.begin
	return i, err
}

// Read implements events.Reader.
func (l later) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	if after < l.begin {
		return func(yield func(events.Event, error) bool) { yield(events.Event{}, events.Gap(after+1, l.begin+1)) }
	}
	return l.Log.Read(ctx, after)
}

// Begin implements replay.Begin.
func (l later) Begin(context.Context) (*projector.State, error) {
	return projector.ReadKeyframe(l.keyframe, "", table.New(table.History{}))
}

// TestBegin cuts off the beginnings of histories and compares what is told of the
// rest with what the whole history tells: the same states and causes, and of causes
// that are cut off that they are.
func TestBegin(t *testing.T) {
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
			whole := causes(t, h)
			n := 0
			for begin := events.Seq(7); begin < h.Span().Last; begin += 53 {
				n += compareBegun(t, h, whole, r, begin)
			}
			if n == 0 {
				t.Error("no cause was cut off")
			}
		})
	}
}

// compareBegun compares a history that begins after a position with the whole one,
// and returns how many causes are cut off.
func compareBegun(t *testing.T, h *replay.History, whole *replay.Causes, log replay.Log, begin events.Seq) (n int) {
	t.Helper()
	s, err := h.At(t.Context(), begin)
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	part := open(t, later{log, k, begin})
	if span := part.Span(); span.First != begin+1 || span.Last != h.Span().Last {
		t.Fatalf("after #%d the history covers %+v", begin, span)
	}
	cs := causes(t, part)
	check := func(l replay.Link, status bool) {
		want, got := whole.Of(l), cs.Of(l)
		cut := func(of replay.Link) bool { return !of.IsZero() && of.Seq <= begin }
		switch {
		case got == want, cut(want) && cut(got):
		// Of several times that numbers were what a status says none is given:
		// who does not know those before may know one, or none.
		case status && (cut(want) && got.IsZero() || want.IsZero() && cut(got)):
		default:
			t.Errorf("after #%d %v comes from %v, in the whole history from %v", begin, l, got, want)
		}
		if cut(want) {
			n++
		}
	}
	for _, e := range all(t, log)[begin:] {
		check(replay.Link{Seq: e.Seq, Index: -1}, e.Source == controller.Source && e.Type == events.ObjectType(events.DaemonSet, events.VerbUpdated))
		if p, ok := e.Body.(*events.Plan); ok {
			for i := range p.Commands {
				check(replay.Link{Seq: e.Seq, Index: i}, false)
			}
		}
	}
	a, err := part.At(t.Context(), h.Span().Last)
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.At(t.Context(), h.Span().Last)
	if err != nil {
		t.Fatal(err)
	}
	if hash(t, a) != hash(t, b) {
		t.Errorf("after #%d the history ends with another state", begin)
	}
	for _, key := range cs.Keys(events.Pod) {
		x, err := part.Why(t.Context(), cs, replay.Subject{Kind: events.Pod, Key: key})
		if err != nil || x.Known == x.Steps[len(x.Steps)-1].Before {
			t.Errorf("after #%d pod %s: %+v, %v", begin, key, x, err)
		}
	}
	compareAsked(t, part, cs)
	if _, err := part.At(t.Context(), begin-1); err == nil {
		t.Errorf("the history begins after #%d and has a state before", begin)
	}
	return n
}

// compareAsked asks a history that begins later why a few objects are as they are, of
// which the last that was told may be before its beginning: each alone, and by what the
// whole of it comes from.
func compareAsked(t *testing.T, part *replay.History, cs *replay.Causes) {
	t.Helper()
	for _, kind := range []events.Kind{events.DaemonSet, events.Node, events.Pod} {
		for _, key := range cs.Keys(kind)[:min(3, len(cs.Keys(kind)))] {
			about := replay.Subject{Kind: kind, Key: key}
			want, err1 := part.Why(t.Context(), cs, about)
			got, err2 := part.WhyAt(t.Context(), part.Span().Last, about)
			if err1 != nil || err2 != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("from #%d on %s %s:\n got %+v, %v\nwant %+v, %v", part.Span().First, kind, key, got, err2, want, err1)
			}
		}
	}
}

// TestBegunRollouts cuts off the beginnings of histories: rollouts that were under way
// there are told of, with what became of them, and those that began later as before.
func TestBegunRollouts(t *testing.T) {
	for _, name := range []string{"clean-roll", "bad-image", "second-update", "stuck-node"} {
		r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", name+".rollcall"))
		if err != nil {
			t.Fatal(err)
		}
		h := open(t, r)
		last := h.Span().Last
		whole, err := h.AllRollouts(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		cut := 0
		for begin := events.Seq(60); begin < last; begin += 17 {
			s, err := h.At(t.Context(), begin)
			if err != nil {
				t.Fatal(err)
			}
			k, err := s.Keyframe()
			if err != nil {
				t.Fatal(err)
			}
			rest, err := open(t, later{r, k, begin}).AllRollouts(t.Context(), last)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.DeleteFunc(slices.Clone(whole), func(r *replay.Rollout) bool { return r.End.Seq > 0 && r.End.Seq <= begin })
			told := func(all []*replay.Rollout) (lines []string) {
				for _, r := range all {
					start := r.Start.Seq
					if start <= begin {
						start = 0
					}
					lines = append(lines, fmt.Sprintf("#%d from #%d, %s #%d, %s, %v, %d nodes", r.Revision, start, r.Ending, r.End.Seq, r.Hash, r.Images, r.Nodes))
				}
				return lines
			}
			if got, want := told(rest), told(want); !slices.Equal(got, want) {
				t.Errorf("%s after #%d: %v, want %v", name, begin, got, want)
			}
			if len(rest) > 0 && rest[0].Start.Seq == 0 {
				cut++
			}
		}
		if cut == 0 {
			t.Errorf("%s: no rollout was under way where it was cut", name)
		}
		_ = r.Close()
	}
}
