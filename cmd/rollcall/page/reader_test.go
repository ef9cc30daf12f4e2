package page

import (
	"context"
	"net/http"
	"testing"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
)

// TestGone: a log of which nothing can be read any more is opened again by who asks
// next, and all that was known of it is read anew.
func TestGone(t *testing.T) {
	opened, closed, gone := 0, 0, 0 // gone: of those that were opened, so many of the first
	r := newReader(newEnding(func(context.Context) (*Past, error) {
		log, err := recording.Open(recorded)
		opened++
		mine := opened
		return &Past{Log: log, Gone: func() bool { return mine <= gone }, Close: func() { closed++; _ = log.Close() }}, err
	}), newIndex())
	ask := func() (seq events.Seq, known int) {
		t.Helper()
		err := r.take(t.Context(), func() error {
			q := &query{Request: (&http.Request{}).WithContext(t.Context()), reader: r, now: true}
			defer q.letGo()
			s, err := q.state()
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
	if opened != 2 || closed != 0 { // once for the end, which all readers share
		t.Errorf("opened %d times and closed %d times", opened, closed)
	}
	gone = opened
	again, m := ask()
	if opened != 4 || closed != 2 || again != first || m != n || n == 0 {
		t.Errorf("opened %d times and closed %d times; #%d and %d events, then #%d and %d", opened, closed, first, n, again, m)
	}
	r.close()
	r.end.close()
}

// TestAhead: what a question about the end has folded is not folded again when it comes
// to those who follow.
func TestAhead(t *testing.T) {
	all := eventsOf(t)
	half := len(all) / 2
	c, _, p := visit(t, all[:half])
	if _, err := p.live.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range all[half:] {
		c.Copy(e)
	}
	end := p.ending
	end.again(t.Context())
	if err := end.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := end.fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	end.leave()
	es := make(chan events.Event, len(all))
	for e, err := range c.Log.Read(t.Context(), events.Seq(half+1)) {
		if err != nil {
			t.Fatal(err)
		}
		es <- e
	}
	for len(es) > 0 {
		if err := end.follow(t.Context(), end.tail, <-es, es); err != nil {
			t.Fatal(err)
		}
	}
	want, err := end.h.At(t.Context(), events.Seq(len(all)))
	if err != nil {
		t.Fatal(err)
	}
	a, err1 := replay.StateHash(want)
	b, err2 := replay.StateHash(end.state)
	if a != b || err1 != nil || err2 != nil {
		t.Errorf("at #%d the end is %s, and #%d of the log %s: %v %v", end.state.Seq(), b, want.Seq(), a, err1, err2)
	}
}

// TestTurns has many events wait at once: whoever is let in between finds a log without
// a hole, and the last is not left behind.
func TestTurns(t *testing.T) {
	all := eventsOf(t)
	begin := len(all) - maxTaken - 20 // a turn, and part of the next
	c, _, p := visit(t, all[:begin])
	followed, err := p.live.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	es := make(chan events.Event, len(all))
	for _, e := range all[begin:] {
		c.Copy(e)
		es <- e
	}
	for len(es) > 0 {
		if err := p.ending.follow(t.Context(), followed, <-es, es); err != nil {
			t.Fatal(err)
		}
		if got, want := int(p.ending.state.Seq()), len(all)-len(es); got != want {
			t.Fatalf("after a turn the end is at #%d, and %d events wait: want #%d", got, len(es), want)
		}
	}
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
