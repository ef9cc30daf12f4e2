package chain_test

import (
	"encoding/hex"
	"testing"

	"rollcall/events/chain"
)

// One bit, a byte moved from one event to the next, an event less or in another
// place: each gives another chain. A reader in between has what one from the
// beginning has.
func TestChain(t *testing.T) {
	log := []string{"first event", "second", "", "third"}
	read := func(log ...string) chain.Position {
		c := chain.New("x")
		for _, raw := range log {
			c.Take(c.Seq+1, []byte(raw))
		}
		return c.Position
	}
	want := read(log...)
	if got := hex.EncodeToString(want.Chain[:]); got != goldenChain || want.Seq != 4 {
		t.Errorf("#%d %s, want #4 %s", want.Seq, got, goldenChain)
	}
	seen := map[chain.Position]bool{want: true}
	other := func(log ...string) {
		t.Helper()
		p := read(log...)
		p.Seq = want.Seq
		if seen[p] {
			t.Errorf("%q has a chain that was there before", log)
		}
		seen[p] = true
	}
	for i, raw := range log {
		for bit := range 8 * len(raw) {
			b := []byte(raw)
			b[bit/8] ^= 1 << (bit % 8)
			changed := append([]string{}, log...)
			changed[i] = string(b)
			other(changed...)
		}
	}
	other("first even", "tsecond", "", "third")
	other("first event", "second", "third")
	other("second", "first event", "", "third")
}

// goldenChain is part of the format: what is kept in position.json is compared
// with it after an update.
const goldenChain = "5281ba6e93669dcf0eba9f5b323d90f4024ee040776b4ed6d27f47b3b7c47339"
