package main

import (
	"errors"
	"path/filepath"
	"testing"

	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/projector/table"
)

// shifted makes keyframes that are those of one event before.
type shifted struct {
	frames
	before []byte
}

func (s *shifted) Take(e events.Event) {
	s.before, _ = s.state.Keyframe()
	s.frames.Take(e)
}

func (s *shifted) Keyframe() (recording.Keyframe, error) {
	k, err := s.frames.Keyframe()
	k.Data = s.before
	return k, err
}

// TestWrongKeyframe: a keyframe whose position and chain are right, and which is
// another state, is found before anything goes on from it.
func TestWrongKeyframe(t *testing.T) {
	from, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", "clean-roll.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	part := recording.Range{From: func(e events.Event) bool { return e.Seq > 200 }}
	for name, make := range map[string]func(frames) recording.Frames{
		"right": func(f frames) recording.Frames { return f },
		"wrong": func(f frames) recording.Frames { return &shifted{frames: f} },
	} {
		path := filepath.Join(t.TempDir(), name)
		if _, err := recording.Export(t.Context(), path, recording.Options{Cluster: "demo"}, from, from.Before(), part, make(frames{projector.New("")})); err != nil {
			t.Fatal(err)
		}
		r, err := recording.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := r.Verify(t.Context(), nil); err != nil {
			t.Error(err)
		}
		n, compareErr := compareFrames(t.Context(), r)
		_, keptErr := (&archive{history: recordedLog{r}, rec: recordedLog{r}, from: r.Before()}).kept(t.Context(), table.New(table.History{}))
		for _, err := range []error{compareErr, keptErr} {
			var e *events.Error
			if found := errors.As(err, &e) && e.Code == "E-REC-DAMAGED" && e.Exit == events.ExitHalt; found != (name == "wrong") || name == "right" && n != 1 {
				t.Errorf("%s: %d the same, %v", name, n, err)
			}
		}
	}
}
