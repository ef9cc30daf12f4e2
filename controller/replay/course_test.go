package replay_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/publisher/simkubelet"
)

// TestCourse: a course that goes on with a log tells of the rollouts that the log
// tells of when it is read anew, whether it reads or is told.
func TestCourse(t *testing.T) {
	files, err := filepath.Glob("../../testdata/recordings/*.rollcall")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	for _, file := range files {
		r, err := recording.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		subjects, err := events.NewSubjects("demo")
		if err != nil {
			t.Fatal(err)
		}
		var course, told replay.Course
		var s *projector.State // that of who tells it; nil: he has not begun
		var log *play.Cluster
		for e, err := range r.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if log == nil {
				log = play.New(subjects, "", e.Stored, simkubelet.DefaultOptions())
			}
			if log.Copy(e); s != nil {
				told.Take(s, projector.Fold(s, e))
			}
			if e.Seq%97 != 0 {
				continue
			}
			h, err := replay.Open(t.Context(), log.Log, nil)
			if err != nil {
				t.Fatal(err)
			}
			is, err1 := course.Go(t.Context(), h)
			want, err2 := h.Rollouts(t.Context(), e.Seq)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			a, _ := json.Marshal(is)
			b, _ := json.Marshal(want)
			if string(a) != string(b) {
				t.Fatalf("%s at #%d: the course tells\n%s\nand the log\n%s", filepath.Base(file), e.Seq, a, b)
			}
			is, err1 = told.Go(t.Context(), h)
			if a, _ = json.Marshal(is); err1 != nil || string(a) != string(b) {
				t.Fatalf("%s at #%d: a course that was told tells\n%s\nand the log\n%s: %v", filepath.Base(file), e.Seq, a, b, err1)
			}
			told.Rest()
			if s == nil && e.Seq > 97 { // it reads twice before it is told
				if s, err1 = h.At(t.Context(), e.Seq); err1 != nil {
					t.Fatal(err1)
				}
			}
		}
	}
}
