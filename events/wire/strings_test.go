package wire_test

import (
	"fmt"
	"slices"
	"testing"

	"rollcall/events/wire"
)

// TestEachString: every string is visited once, with the way to it, also in what
// is cut.
func TestEachString(t *testing.T) {
	b, err := wire.Marshal(map[string]any{"a": "x", "l": []any{"y", map[string]any{"k/1": "z", "n": int64(7)}}, "n": nil, "t": true})
	if err != nil {
		t.Fatal(err)
	}
	strings := func(b []byte) (all []string) {
		wire.EachString(b, func(p wire.Path, s []byte) bool {
			all = append(all, fmt.Sprintf("%s:%s", p, s))
			return len(all) < 100
		})
		return all
	}
	want := []string{"a:a", "a:x", "l:l", "l[0]:y", "l[1][k/1]:k/1", "l[1][k/1]:z", "l[1].n:n", "n:n", "t:t"}
	if got := strings(b); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for i := range b {
		if got := strings(b[:i]); len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			t.Errorf("of %d bytes: %q", i, got)
		}
	}
	n := 0
	wire.EachString(b, func(wire.Path, []byte) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("it went on after its end: %d", n)
	}
	deep := make([]byte, 10_000)
	for i := range deep {
		deep[i] = 0x91 // an array of one
	}
	if got := strings(deep); got != nil {
		t.Errorf("%q", got)
	}
}
