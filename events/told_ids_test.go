package events

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/oklog/ulid/v2"
)

// TestToldIDs: the last maxTold ids are there with their positions, exactly
// those, and so they are after they were kept.
func TestToldIDs(t *testing.T) {
	id := func(i int) ulid.ULID {
		x := ToldID("a", "", fmt.Sprint(i))
		if i%3 == 0 && i < 3000 { // many in few slots
			clear(x[:4])
			x[3] = byte(i)
		}
		return x
	}
	const n = 50_000
	var few toldIDs
	for i := range n {
		if _, ok := few.get(id(i)); ok {
			t.Fatalf("%d is there before it is", i)
		}
		few.add(id(i), Seq(2*i+1))
	}
	for range maxTold - n {
		i := len(few.ring)
		few.add(ToldID("b", "", fmt.Sprint(i)), Seq(2*i+1))
	}
	for i := range 1000 { // each takes the place of the oldest
		few.add(ToldID("c", "", fmt.Sprint(i)), Seq(2*(maxTold+i)+1))
	}
	kept := few.keep()
	again, err := toldOf(kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, ids := range []*toldIDs{&few, &again} {
		if err := ids.check(); err != nil {
			t.Error(err)
		}
		for i := range n {
			if at, ok := ids.get(id(i)); ok != (i >= 1000) || ok && at != Seq(2*i+1) {
				t.Fatalf("%d: %d %v", i, at, ok)
			}
		}
		for i := range 1000 {
			if at, ok := ids.get(ToldID("c", "", fmt.Sprint(i))); !ok || at != Seq(2*(maxTold+i)+1) {
				t.Fatalf("the last %d: %d %v", i, at, ok)
			}
		}
	}
	if len(kept) != 24*maxTold || !bytes.Equal(again.keep(), kept) {
		t.Errorf("%d bytes are kept", len(kept))
	}
	for _, bad := range [][]byte{make([]byte, 23), make([]byte, 24), append(bytes.Clone(kept[:24]), kept[:24]...)} {
		if _, err := toldOf(bad); err == nil {
			t.Errorf("%d bytes are read", len(bad))
		}
	}
}
