package events

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// idTail is the part of an id that sources choose at random.
type idTail [8]byte

func tailOf(e *Event) idTail { return idTail(e.ID[8:]) }

// tails are where some events were, by the tail of their id. Almost all that is asked
// for is not there; a table of bits says so at once of most of it, which is small
// enough to be near at hand where a map of so many is not.
type tails struct {
	at  map[idTail]Seq
	may [tailBits / 64]uint64
}

// tailBits is how many bits there are: sixteen for each of RecentEvents.
const tailBits = 16 * RecentEvents

func newTails(room int) *tails { return &tails{at: make(map[idTail]Seq, room)} }

func (t *tails) len() int { return len(t.at) }

// bit is where the bit of a tail is, which is as much at random as the tail.
func (x idTail) bit() (word, bit uint64) {
	n := binary.LittleEndian.Uint64(x[:]) % tailBits
	return n / 64, 1 << (n % 64)
}

func (t *tails) add(x idTail, at Seq) {
	word, bit := x.bit()
	t.may[word] |= bit
	t.at[x] = at
}

func (t *tails) get(x idTail) (Seq, bool) {
	if word, bit := x.bit(); t.may[word]&bit == 0 {
		return 0, false
	}
	at, ok := t.at[x]
	return at, ok
}

const keptTail = 16 // bytes of one

// keep returns the tails as a keyframe holds them, and tailsOf is its opposite.
func (t *tails) keep() []byte {
	xs := slices.SortedFunc(maps.Keys(t.at), func(a, b idTail) int { return cmp.Compare(t.at[a], t.at[b]) })
	out := make([]byte, 0, keptTail*len(xs))
	for _, x := range xs {
		out = binary.BigEndian.AppendUint64(append(out, x[:]...), uint64(t.at[x]))
	}
	return out
}

func tailsOf(b []byte) (*tails, error) {
	if len(b)%keptTail != 0 {
		return nil, fmt.Errorf("%d bytes are not ids and positions", len(b))
	}
	t := newTails(len(b) / keptTail)
	for ; len(b) > 0; b = b[keptTail:] {
		t.add(idTail(b[:8]), Seq(binary.BigEndian.Uint64(b[8:])))
	}
	return t, nil
}
