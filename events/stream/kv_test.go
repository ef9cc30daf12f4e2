package stream

import (
	"errors"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/natsd"
)

func TestKV(t *testing.T) {
	nc := mustConnect(t, mustServer(t, natsd.Options{}))
	s := mustSubjects(t)
	for _, memory := range []bool{false, true} {
		name := map[bool]string{false: "file", true: "memory"}[memory]
		t.Run(name, func(t *testing.T) {
			o := KVOptions{Name: name, MemoryStorage: memory}
			b, err := OpenKV(t.Context(), nc, s, o)
			if err != nil {
				t.Fatal(err)
			}
			first, err := b.Put(t.Context(), "ns/a", []byte("1"), 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, last := range []uint64{0, first + 7} {
				if _, err := b.Put(t.Context(), "ns/a", []byte("2"), last); !errors.Is(err, events.ErrConflict) {
					t.Errorf("put over revision %d as if it were %d: %v", first, last, err)
				}
			}
			second, err := b.Put(t.Context(), "ns/a", []byte("2"), first)
			if err != nil || second <= first {
				t.Errorf("put over %d: %d, %v", first, second, err)
			}
			again, err := OpenKV(t.Context(), nc, s, o)
			if err != nil {
				t.Fatal(err)
			}
			watched(t, again, []events.KVEntry{{Key: "ns/a", Value: []byte("2"), Rev: second}, {}})
		})
	}
}

// A value that went by its age is told to who watches.
func TestKVMaxAge(t *testing.T) {
	t.Parallel() // it mostly waits
	b, err := OpenKV(t.Context(), mustConnect(t, mustServer(t, natsd.Options{})), mustSubjects(t), KVOptions{Name: "ages", MaxAge: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	// The watch is there before the value, which may be gone before one begins.
	var rev uint64
	seen := uint64(0)
	for e, err := range b.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 1 {
			if rev, err = b.Put(t.Context(), "a", []byte("1"), 0); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want := rev + seen - 2; e.Key != "a" || (string(e.Value) == "1") != (seen == 2) || e.Rev != want {
			t.Errorf("entry %d is %+v, want position %d", seen, e, want)
		}
		if seen == 3 {
			break
		}
	}
	if _, err := b.Put(t.Context(), "a", []byte("2"), 0); err != nil {
		t.Errorf("put where nothing is any more: %v", err)
	}
}

// watched checks what a watch of b begins with.
func watched(t *testing.T, b *KV, want []events.KVEntry) {
	t.Helper()
	i := 0
	for e, err := range b.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Key != want[i].Key || string(e.Value) != string(want[i].Value) || e.Rev != want[i].Rev {
			t.Errorf("entry %d is %+v, want %+v", i, e, want[i])
		}
		if i++; i == len(want) {
			return
		}
	}
}
