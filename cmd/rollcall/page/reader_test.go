package page

import (
	"context"
	"testing"

	"rollcall/events"
	"rollcall/events/recording"
)

// TestGone: a log of which nothing can be read any more is opened again by who asks
// next, and all that was known of it is read anew.
func TestGone(t *testing.T) {
	opened, closed, gone := 0, 0, false
	r := newReader(func(context.Context) (*Past, error) {
		log, err := recording.Open(recorded)
		opened++
		return &Past{Log: log, Gone: func() bool { return gone }, Close: func() { closed++; _ = log.Close() }}, err
	}, newIndex())
	ask := func() (seq events.Seq, known int) {
		t.Helper()
		err := r.take(t.Context(), func() error {
			s, err := r.state(t.Context(), r.h.Span().Last)
			seq, known = s.Seq(), len(r.index.times)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return seq, known
	}
	first, n := ask()
	ask()
	if opened != 1 || closed != 0 {
		t.Errorf("opened %d times and closed %d times", opened, closed)
	}
	gone = true
	again, m := ask()
	if opened != 2 || closed != 1 || again != first || m != n || n == 0 {
		t.Errorf("opened %d times and closed %d times; #%d and %d events, then #%d and %d", opened, closed, first, n, again, m)
	}
	gone = false
	r.close()
}

// TestBehind: how far an instance is behind is what it says of its fold.
func TestBehind(t *testing.T) {
	for _, c := range []struct {
		state string
		want  int
	}{{"ok: 0 events behind", 0}, {"ok: 37 events behind", 37}, {"failed: E-LOG-QUORUM", -1}} {
		got := -1
		if n := behind([]Check{{Name: "log", State: "ok: position 4"}, {Name: foldCheck, State: c.state}}); n != nil {
			got = int(*n)
		}
		if got != c.want {
			t.Errorf("%q: %d, want %d", c.state, got, c.want)
		}
	}
	if behind(nil) != nil {
		t.Error("nothing is behind")
	}
}
