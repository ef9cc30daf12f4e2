package recording_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/recording"
)

// counted makes keyframes that say how many events they are of.
type counted struct {
	chain *chain.Chain
	n     int
}

func (c *counted) Take(e events.Event) {
	c.chain.Take(e.Seq, e.Raw)
	c.n++
}

func (c *counted) Keyframe() (recording.Keyframe, error) {
	return recording.Keyframe{At: c.chain.Position, Kind: "count", Version: 1, Data: fmt.Append(nil, c.n)}, nil
}

// lines is a log in memory, from its first event on.
type lines []events.Event

func (l lines) Read(_ context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for _, e := range l {
			if e.Seq > after && !yield(e, nil) {
				return
			}
		}
	}
}

// TestFrameDue: a keyframe waits for events of as many bytes as the last one has.
func TestFrameDue(t *testing.T) {
	es := sample(t, 30_000, 300)
	w := create(t, filepath.Join(t.TempDir(), "x.rollcall"), recording.Options{Before: chain.Position{Log: logOf}})
	at, bytes, size := chain.New(logOf), 0, 0
	for i, e := range es {
		if err := w.Append(e); err != nil {
			t.Fatal(err)
		}
		at.Take(e.Seq, e.Raw)
		if bytes += 22 + len(e.Subject) + len(e.Raw); i == 9 {
			size = 13_000 * bytes / 10
			if err := w.Keyframe(recording.Keyframe{At: at.Position, Kind: "count", Version: 1, Data: make([]byte, size)}); err != nil {
				t.Fatal(err)
			}
			bytes = 0
		}
		if due := w.FrameDue(); due != (i > 12_500 && bytes >= size) {
			t.Fatalf("after %d events of %d bytes, and a keyframe of %d, one is due: %v", i-9, bytes, size, due)
		}
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

// TestExport: a part of a log has a keyframe of what was before it, and one every
// 12,500 events; a range without events makes no file.
func TestExport(t *testing.T) {
	es := sample(t, 30_000, 300)
	path := filepath.Join(t.TempDir(), "x.rollcall")
	kept := &counted{chain: chain.New(logOf)}
	part := recording.Range{From: func(e events.Event) bool { return e.Seq >= 101 }, Until: func(e events.Event) bool { return e.Seq <= 29_000 }}
	n, err := recording.Export(t.Context(), path, recording.Options{Cluster: "test"}, lines(es), chain.Position{Log: logOf}, part, kept)
	if err != nil || n != 28_900 {
		t.Fatal(n, err)
	}
	r := open(t, path)
	if err := r.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	infos := r.Keyframes()
	if len(infos) != 3 || infos[0].At != chainAt(es, 100) || infos[1].At != chainAt(es, 12_600) {
		t.Fatalf("%+v", infos)
	}
	for at, want := range map[events.Seq]string{99: "", 100: "100", 12_599: "100", 12_600: "12600", 25_100: "25100", 29_000: "25100"} {
		k, ok := r.Newest("count", 1, at)
		if ok != (want != "") {
			t.Fatalf("the newest at #%d: %v", at, ok)
		}
		if !ok {
			continue
		}
		if f, err := r.Keyframe(k); err != nil || string(f.Data) != want {
			t.Errorf("the newest at #%d is %q, %v", at, f.Data, err)
		}
	}
	if _, ok := r.Newest("count", 2, 29_000); ok {
		t.Error("a keyframe of another version is given")
	}
	none := filepath.Join(t.TempDir(), "none")
	part.From = func(events.Event) bool { return false }
	if n, err := recording.Export(t.Context(), none, recording.Options{}, lines(es[:50]), chain.Position{}, part, nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("there is a recording of nothing")
	}
}
