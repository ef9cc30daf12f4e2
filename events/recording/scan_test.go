package recording_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"rollcall/events"
	"rollcall/events/recording"
)

// TestScan: a scan tells of every event what Read does, from any position, over
// many blocks, and ends when it is not wanted any more or its context is done.
func TestScan(t *testing.T) {
	es := sample(t, 5000, 1500)
	r := open(t, write(t, recording.Options{}, es))
	for _, after := range []events.Seq{0, 1, 700, 4999, 5000} {
		var got []events.Event
		look := func(raw []byte) any { return events.Decode(bytes.Clone(raw)).ID }
		for e, err := range r.Scan(t.Context(), after, look) {
			if err != nil {
				t.Fatal(err)
			}
			e.Raw = bytes.Clone(e.Raw)
			if e.ID = events.Decode(e.Raw).ID; e.Looked != any(e.ID) {
				t.Errorf("#%d was looked at as %v, and is %s", e.Seq, e.Looked, e.ID)
			}
			e.Looked = nil
			got = append(got, e)
		}
		wantSame(t, got, es[after:])
	}
	n := 0
	for range r.Scan(t.Context(), 0, nil) {
		if n++; n == 100 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for e, err := range r.Scan(ctx, 0, nil) {
		if last = err; err == nil && e.Seq == 10 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("it ended with %v", last)
	}
	for _, err := range r.Scan(t.Context(), 5001, nil) {
		if !errors.Is(err, events.ErrTruncated) {
			t.Errorf("after the end: %v", err)
		}
	}
}

// TestScanDamage: a scan passes over nothing that Read refuses.
func TestScanDamage(t *testing.T) {
	path := write(t, recording.Options{}, sample(t, 3000, 1500))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 5000; at < len(whole); at += len(whole) / 40 {
		b := slices.Clone(whole)
		b[at] ^= 4
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := recording.Open(path)
		if err != nil {
			continue
		}
		_, want := read(r, 0)
		var got error
		for _, got = range r.Scan(t.Context(), 0, nil) {
			if got != nil {
				break
			}
		}
		if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
			t.Errorf("byte %d: %v, Read says %v", at, got, want)
		}
		_ = r.Close()
	}
}
