package recording_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/recording"
)

// epoch is when the logs of the tests begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// logOf is the ID of the logs of the tests.
const logOf = "ROLLCALL_test@1"

// sample returns the log of n events about pods, of some size.
func sample(tb testing.TB, n, size int) []events.Event {
	tb.Helper()
	subjects, err := events.NewSubjects("test")
	if err != nil {
		tb.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, uint64(n)))
	var es []events.Event
	for i := range n {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("agent-%d", r.IntN(1000)), Namespace: "kube-system", UID: "11111111-2222-3333-4444-555555555555",
			Annotations: map[string]string{"note": strings.Repeat("x", max(size-400, 0)/2) + fmt.Sprintf("%0*x", max(size-400, 0)/4, r.Uint64())}}}
		body, err := events.NewObject(events.Pod, pod)
		if err != nil {
			tb.Fatal(err)
		}
		id := ulid.ULID{0: 1, 15: byte(i), 14: byte(i >> 8), 13: byte(i >> 16)}
		at := epoch.Add(time.Duration(i) * time.Second)
		stored, err := subjects.Encode(events.Entry{Event: events.Event{ID: id, Type: "pod.updated", Source: "test", At: at, Body: body}})
		if err != nil {
			tb.Fatal(err)
		}
		e := events.Decode(stored[0].Raw)
		e.Seq, e.Stored, e.Subject = events.Seq(i+1), at, stored[0].Subject
		es = append(es, e)
	}
	return es
}

// write makes a recording of events and returns its path.
func write(tb testing.TB, o recording.Options, es []events.Event) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "x.rollcall")
	w := create(tb, path, o)
	for _, e := range es {
		if err := w.Append(e); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func create(tb testing.TB, path string, o recording.Options) *recording.Writer {
	tb.Helper()
	o.Cluster, o.Build = "test", "test"
	if o.Before.Log == "" {
		o.Before.Log = logOf
	}
	w, err := recording.Create(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func open(tb testing.TB, path string) *recording.Recording {
	tb.Helper()
	r, err := recording.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

// read returns the events after a position, and the error that ended them.
func read(r *recording.Recording, after events.Seq) (es []events.Event, err error) {
	for e, err := range r.Read(context.Background(), after) {
		if err != nil {
			return es, err
		}
		es = append(es, e)
	}
	return es, nil
}

// wantSame wants the events that were written, with all that a log has of them.
func wantSame(t *testing.T, got, want []events.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i, e := range got {
		w := want[i]
		if e.Seq != w.Seq || !e.Stored.Equal(w.Stored) || e.Subject != w.Subject || e.ID != w.ID || !bytes.Equal(e.Raw, w.Raw) {
			t.Fatalf("#%d %s %s, want #%d %s %s", e.Seq, e.Stored, e.Subject, w.Seq, w.Stored, w.Subject)
		}
	}
}

// wantCode holds an error against its code and exit code.
func wantCode(t *testing.T, err error, code string, exit int) *events.Error {
	t.Helper()
	var e *events.Error
	if !errors.As(err, &e) || e.Code != code || e.Exit != exit {
		t.Fatalf("got %v, want %s with exit code %d", err, code, exit)
	}
	if strings.Contains(e.Error(), "\n") {
		t.Errorf("%q has more than one line", e)
	}
	return e
}

// chainAt is the chain of a log at a position.
func chainAt(es []events.Event, seq events.Seq) chain.Position {
	c := chain.New(logOf)
	for _, e := range es[:seq] {
		c.Take(e.Seq, e.Raw)
	}
	return c.Position
}

// TestRoundTrip: what was written is read, from every position, in every
// compression; the chain is the log's; the same log gives the same bytes.
func TestRoundTrip(t *testing.T) {
	es := sample(t, 1500, 3000)
	for name, c := range recording.Compressions {
		t.Run(name, func(t *testing.T) {
			path := write(t, recording.Options{Compression: c}, es)
			r := open(t, path)
			m := r.Manifest()
			if m.Blocks < 3 || !m.Complete || m.Events != 1500 || r.Torn() != nil {
				t.Fatalf("%+v", m)
			}
			if m.Last.Seq != 1500 || m.Last.Chain != chainAt(es, 1500).Chain || !m.Last.Time.Equal(es[1499].Stored) || !m.First.Time.Equal(epoch) {
				t.Errorf("%+v", m)
			}
			for _, after := range []events.Seq{0, 1, 300, 349, 350, 351, 1498, 1499, 1500} {
				got, err := read(r, after)
				if err != nil {
					t.Fatal(err)
				}
				wantSame(t, got, es[after:])
			}
			if _, err := read(r, 1501); !errors.Is(err, events.ErrTruncated) {
				t.Error(err)
			}
			if err := r.Verify(t.Context(), nil); err != nil {
				t.Error(err)
			}
			again, err := os.ReadFile(write(t, recording.Options{Compression: c}, es))
			first, ferr := os.ReadFile(path)
			if err != nil || ferr != nil || !bytes.Equal(first, again) {
				t.Errorf("the same log gives other bytes: %v %v", err, ferr)
			}
		})
	}
}

// TestAt finds positions by time with one block read, also where the clock of
// the log has stepped back.
func TestAt(t *testing.T) {
	es := sample(t, 1500, 3000)
	es[700].Stored = es[690].Stored
	r := open(t, write(t, recording.Options{}, es))
	by := func(at time.Time) events.Seq { // as a reader of all of it would find
		i := slices.IndexFunc(es, func(e events.Event) bool { return e.Stored.After(at) })
		if i < 0 {
			return 1500
		}
		return events.Seq(i)
	}
	for i := -2; i < 1505; i++ {
		for _, part := range []time.Duration{0, 1, time.Second - 1} {
			at := epoch.Add(time.Duration(i)*time.Second + part)
			got, err := r.At(at)
			if err != nil || got != by(at) {
				t.Fatalf("at %s: #%d, %v, want #%d", at, got, err, by(at))
			}
		}
	}
}

// TestPart: a recording that begins later has the chain of the log, and refuses
// what comes before it.
func TestPart(t *testing.T) {
	es := sample(t, 100, 1000)
	r := open(t, write(t, recording.Options{Before: chainAt(es, 40), Filter: "#41 to #90"}, es[40:90]))
	m := r.Manifest()
	if m.First.Seq != 41 || m.Last.Seq != 90 || m.Last.Chain != chainAt(es, 90).Chain || r.Before() != chainAt(es, 40) {
		t.Errorf("%+v", m)
	}
	got, err := read(r, 40)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, es[40:90])
	for _, after := range []events.Seq{0, 39} {
		_, err := read(r, after)
		wantCode(t, err, "E-REC-START", events.ExitInput)
		if !errors.Is(err, events.ErrGap) {
			t.Error("it is no gap")
		}
	}
	if at, err := r.At(epoch); err != nil || at != 40 {
		t.Errorf("before the first: #%d, %v", at, err)
	}
	if err := r.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	w := create(t, filepath.Join(t.TempDir(), "y"), recording.Options{})
	if err := w.Append(es[1]); !errors.Is(err, events.ErrGap) {
		t.Errorf("a gap is written: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

// TestEmpty: a log without events has a recording.
func TestEmpty(t *testing.T) {
	r := open(t, write(t, recording.Options{}, nil))
	if got, err := read(r, 0); len(got) != 0 || err != nil {
		t.Error(got, err)
	}
	if info, err := r.Info(t.Context()); err != nil || info.Last != 0 || info.ID != logOf {
		t.Error(info, err)
	}
}

// TestKeyframes: keyframes are kept at their positions and held against the
// chain, when they are written and when they are verified.
func TestKeyframes(t *testing.T) {
	es := sample(t, 60, 1000)
	path := filepath.Join(t.TempDir(), "x.rollcall")
	w := create(t, path, recording.Options{})
	frame := recording.Keyframe{Kind: "state", Version: 3, Data: bytes.Repeat([]byte("state"), 1000)}
	for _, e := range es {
		if err := w.Append(e); err != nil {
			t.Fatal(err)
		}
		if e.Seq%20 != 0 {
			continue
		}
		frame.At = w.Position()
		wrong := frame
		wrong.At.Chain[0]++
		if err := w.Keyframe(wrong); err == nil {
			t.Error("a keyframe of another log is taken")
		}
		if err := w.Keyframe(frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := open(t, path)
	infos := r.Keyframes()
	if len(infos) != 3 {
		t.Fatalf("%d keyframes", len(infos))
	}
	for i, k := range infos {
		got, err := r.Keyframe(k)
		if err != nil || k.At != chainAt(es, events.Seq(20*i+20)) || got.Kind != "state" || got.Version != 3 || !bytes.Equal(got.Data, frame.Data) {
			t.Errorf("%+v, %v", k, err)
		}
	}
	if err := r.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	got, err := read(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, es)
}

// TestAtomic: until a recording is whole its name is that of what was there
// before, and one that is not wanted leaves nothing.
func TestAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.rollcall")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := create(t, path, recording.Options{})
	if err := w.Append(sample(t, 1, 100)[0]); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "before" {
		t.Errorf("%q %v", b, err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}

// TestStopReading: a reader that has enough is not called again, and one whose
// context ends is told.
func TestStopReading(t *testing.T) {
	r := open(t, write(t, recording.Options{}, sample(t, 1500, 3000)))
	for e, err := range r.Read(t.Context(), 0) {
		if err != nil || e.Seq != 1 {
			t.Fatalf("#%d, %v", e.Seq, err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range r.Read(ctx, 0) {
		if n++; n == 10 {
			cancel()
		}
		if n > 11 || (err != nil) != (n == 11) {
			t.Fatalf("event %d: %v", n, err)
		}
	}
}

// TestRedacted: what is redacted is not in the file, and the file says so, with
// the chain of the log beside its own.
func TestRedacted(t *testing.T) {
	es := sample(t, 20, 1000)
	path := write(t, recording.Options{Redacted: "everything", Redact: func(raw []byte) []byte { return raw[:10] }}, es)
	r := open(t, path)
	m := r.Manifest()
	if m.Redacted != "everything" || m.Original == nil || m.Original.Chain != chainAt(es, 20).Chain || m.Last.Chain == m.Original.Chain {
		t.Errorf("%+v", m)
	}
	got, err := read(r, 0)
	if err != nil || len(got) != 20 || len(got[7].Raw) != 10 || got[7].Subject != es[7].Subject {
		t.Errorf("%d events, %v", len(got), err)
	}
	if err := r.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	w := create(t, path, recording.Options{Redact: bytes.Clone})
	if err := w.Keyframe(recording.Keyframe{At: w.Position(), Kind: "state"}); err == nil {
		t.Error("a keyframe of what is redacted is taken")
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}
