package keyframes_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/keyframes"
)

// bucket is an object store in memory.
type bucket struct {
	objects map[string]keyframes.Object
	data    map[string][]byte
}

func newBucket() *bucket {
	return &bucket{map[string]keyframes.Object{}, map[string][]byte{}}
}

func (b *bucket) List(context.Context) (os []keyframes.Object, err error) {
	for _, name := range slices.Sorted(maps.Keys(b.objects)) {
		os = append(os, b.objects[name])
	}
	return os, nil
}

func (b *bucket) Get(_ context.Context, name string) ([]byte, error) { return b.data[name], nil }

func (b *bucket) Put(_ context.Context, o keyframes.Object, data []byte) error {
	b.objects[o.Name], b.data[o.Name] = o, data
	return nil
}

func (b *bucket) Delete(_ context.Context, name string) error {
	delete(b.objects, name)
	delete(b.data, name)
	return nil
}

// log is the bytes of events, and the chain after each.
type log struct {
	raws   []string
	chains []chain.Sum
}

func newLog(raws ...string) *log {
	l := &log{raws: raws, chains: []chain.Sum{{}}}
	c := chain.New("a log")
	for i, raw := range raws {
		c.Take(events.Seq(i+1), []byte(raw))
		l.chains = append(l.chains, c.Chain)
	}
	return l
}

func (l *log) event(_ context.Context, at events.Seq) (events.Event, error) {
	if at < 1 || int(at) > len(l.raws) {
		return events.Event{}, fmt.Errorf("no event at #%d", at)
	}
	return events.Event{Seq: at, Raw: []byte(l.raws[at-1])}, nil
}

// frame is the keyframe of a position of the log.
func (l *log) frame(at events.Seq, made time.Time) (keyframes.Frame, keyframes.Kept) {
	k := keyframes.Kept{State: bytes.Repeat([]byte(fmt.Sprintf("state at %d ", at)), 1000), Parties: []byte("parties")}
	return keyframes.Frame{Seq: at, Chain: l.chains[at], Before: l.chains[at-1], Format: 1, Hash: keyframes.Hash(k.State), Made: made}, k
}

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func mustPut(t *testing.T, s *keyframes.Store, f keyframes.Frame, k keyframes.Kept) {
	t.Helper()
	if err := s.Put(t.Context(), f, k); err != nil {
		t.Fatal(err)
	}
}

// newest returns the position of the keyframe that is used, and what was said of
// those that were passed over.
func newest(t *testing.T, s *keyframes.Store, at events.Seq, of keyframes.Log) (used events.Seq, said []string) {
	t.Helper()
	of.Format = 1
	of.Passed = func(f keyframes.Frame, why error) { said = append(said, fmt.Sprintf("#%d: %v", f.Seq, why)) }
	found, err := s.Newest(t.Context(), 0, at, of, func(f keyframes.Frame, k keyframes.Kept) error {
		if !strings.HasPrefix(string(k.State), fmt.Sprintf("state at %d ", f.Seq)) || string(k.Parties) != "parties" {
			t.Errorf("#%d holds something else", f.Seq)
		}
		used = f.Seq
		return nil
	})
	if err != nil || found != (used > 0) {
		t.Fatalf("found %v, used #%d, %v", found, used, err)
	}
	return used, said
}

// TestNewest has the newest keyframe used that is one of the log.
func TestNewest(t *testing.T) {
	l := newLog("a", "b", "c", "d", "e")
	other := newLog("a", "x", "c", "d", "e") // the same event at the end, after another one
	for _, c := range []struct {
		name string
		at   events.Seq
		do   func(*bucket, *keyframes.Store)
		of   keyframes.Log
		used events.Seq
		said string
	}{
		{name: "the newest", at: 5, used: 4},
		{name: "at the position", at: 3, used: 3},
		{name: "before the position", at: 1},
		{name: "another event", at: 5, used: 3, said: "#4: the running hash of the log is another there", do: func(_ *bucket, s *keyframes.Store) {
			f, k := newLog("a", "b", "c", "D").frame(4, noon)
			mustPut(t, s, f, k)
		}},
		{name: "another event before", at: 5, used: 3, said: "#4: the running hash of the log is another there",
			of: keyframes.Log{Chain: func(at events.Seq) (chain.Sum, bool) { return l.chains[at], true }}, do: func(_ *bucket, s *keyframes.Store) {
				f, k := other.frame(4, noon)
				mustPut(t, s, f, k)
			}},
		{name: "another format", at: 5, used: 3, do: func(_ *bucket, s *keyframes.Store) {
			f, k := l.frame(4, noon)
			f.Format = 2
			mustPut(t, s, f, k)
		}},
		{name: "flipped", at: 5, used: 3, said: "#4: ", do: func(b *bucket, _ *keyframes.Store) { b.data[last(b)][40] ^= 1 }},
		{name: "cut", at: 5, used: 3, said: "#4: ", do: func(b *bucket, _ *keyframes.Store) { b.data[last(b)] = b.data[last(b)][:50] }},
		{name: "of other bytes", at: 5, used: 3, said: "#4: its hash is another", do: func(b *bucket, s *keyframes.Store) {
			b.data[last(b)] = b.data[first(b)]
		}},
		{name: "huge", at: 5, used: 3, said: "#4: it says that it is", do: func(b *bucket, _ *keyframes.Store) {
			b.objects[last(b)].Meta["state-bytes"] = "99999999999999"
		}},
		{name: "no metadata", at: 5, used: 3, do: func(b *bucket, _ *keyframes.Store) { clear(b.objects[last(b)].Meta) }},
		{name: "after the end", at: 9, used: 4, said: "#6: no event at #6", do: func(_ *bucket, s *keyframes.Store) {
			f, k := newLog("a", "b", "c", "d", "e", "f").frame(6, noon)
			mustPut(t, s, f, k)
		}},
		{name: "where the log begins", at: 5, used: 4, of: keyframes.Log{Before: 4, Event: func(context.Context, events.Seq) (events.Event, error) {
			return events.Event{}, errors.New("it was archived")
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBucket()
			s := keyframes.Open(b)
			for _, at := range []events.Seq{2, 3, 4} {
				f, k := l.frame(at, noon)
				mustPut(t, s, f, k)
			}
			if c.do != nil {
				c.do(b, s)
			}
			if c.of.Event == nil {
				c.of.Event = l.event
			}
			used, said := newest(t, s, c.at, c.of)
			if used != c.used || (c.said == "") != (len(said) == 0) || !strings.HasPrefix(strings.Join(said, "; "), c.said) {
				t.Errorf("used #%d and said %q, want #%d and %q", used, said, c.used, c.said)
			}
		})
	}
}

func first(b *bucket) string { return slices.Min(slices.Collect(maps.Keys(b.data))) }
func last(b *bucket) string  { return slices.Max(slices.Collect(maps.Keys(b.data))) }

// TestThin keeps the newest keyframes, one an hour for a day and one a day, and
// those that are pinned.
func TestThin(t *testing.T) {
	raws := make([]string, 200)
	l := newLog(raws...)
	b := newBucket()
	s := keyframes.Open(b)
	for i := range 200 { // one every 20 minutes, for 66 hours
		f, k := l.frame(events.Seq(i+1), noon.Add(time.Duration(i)*20*time.Minute))
		f.Pinned = i == 50
		mustPut(t, s, f, k)
		if _, err := s.Thin(t.Context(), f.Made); err != nil {
			t.Fatal(err)
		}
	}
	fs, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []events.Seq
	for _, f := range fs {
		got = append(got, f.Seq)
	}
	if !slices.Contains(got, 51) {
		t.Error("a pinned keyframe was thinned out")
	}
	if n := len(got); n < 4 || !slices.Equal(got[n-4:], []events.Seq{197, 198, 199, 200}) {
		t.Errorf("the newest are not kept: %v", got)
	}
	if n := len(got); n < 24+4 || n > 24+4+1+4 {
		t.Errorf("%d are kept: %v", n, got)
	}
}
