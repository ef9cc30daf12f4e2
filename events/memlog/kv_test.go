package memlog

import (
	"context"
	"errors"
	"testing"

	"rollcall/events"
)

// A bucket refuses what was decided from an older value, and tells who watches
// what there is and then what changes.
func TestKV(t *testing.T) {
	b := NewKV()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, err := b.Put(ctx, "a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, last := range []uint64{0, first + 7} {
		if _, err := b.Put(ctx, "a", []byte("2"), last); !errors.Is(err, events.ErrConflict) {
			t.Errorf("put over revision %d as if it were %d: %v", first, last, err)
		}
	}
	var told []events.KVEntry
	for e, err := range b.Watch(ctx) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		switch told = append(told, e); len(told) {
		case 2:
			if _, err := b.Put(ctx, "a", []byte("2"), first); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Put(ctx, "b", []byte("3"), 0); err != nil {
				t.Fatal(err)
			}
		case 4:
			cancel()
		}
	}
	want := []events.KVEntry{{Key: "a", Value: []byte("1"), Rev: 1}, {}, {Key: "a", Value: []byte("2"), Rev: 2}, {Key: "b", Value: []byte("3"), Rev: 3}}
	for i, w := range want {
		if i >= len(told) || told[i].Key != w.Key || string(told[i].Value) != string(w.Value) || told[i].Rev != w.Rev {
			t.Fatalf("told %+v, want %+v", told, want)
		}
	}
}
