package events

import (
	"encoding/binary"
	"fmt"

	"github.com/oklog/ulid/v2"
)

// maxTold is how many ids of told events are remembered: at a thousand a second
// a sender may repeat itself a quarter of an hour later, at one a second twelve
// days. One takes 32 bytes at most, 24 of them in a keyframe.
const maxTold = 1_000_000

// toldIDs remembers the last maxTold ids of told events and where those are. The
// oldest by position goes first. The zero value has none.
type toldIDs struct {
	ring  []toldID // in order from oldest on, and then from the beginning
	first int      // the oldest
	// index has the places in ring by id, each one more than it is; 0: free. An
	// id is in the first free slot from its own on. A hash is as good as random,
	// so its first bytes are the slot.
	index []uint32
}

type toldID struct {
	id ulid.ULID
	at Seq
}

// get returns where the event of an id is.
func (t *toldIDs) get(id ulid.ULID) (Seq, bool) {
	if len(t.index) == 0 {
		return 0, false
	}
	for slot := t.slot(id); t.index[slot] != 0; slot = t.next(slot) {
		if x := &t.ring[t.index[slot]-1]; x.id == id {
			return x.at, true
		}
	}
	return 0, false
}

// add remembers an id that is not there yet.
func (t *toldIDs) add(id ulid.ULID, at Seq) {
	if len(t.ring) < maxTold {
		t.ring = append(t.ring, toldID{id, at})
		if 2*len(t.ring) > len(t.index) {
			t.grow()
			return
		}
		t.enter(len(t.ring) - 1)
		return
	}
	t.forget(t.ring[t.first].id)
	t.ring[t.first] = toldID{id, at}
	t.enter(t.first)
	t.first = (t.first + 1) % len(t.ring)
}

func (t *toldIDs) slot(id ulid.ULID) uint32 {
	return binary.BigEndian.Uint32(id[:]) & uint32(len(t.index)-1)
}

func (t *toldIDs) next(slot uint32) uint32 { return (slot + 1) & uint32(len(t.index)-1) }

func (t *toldIDs) enter(place int) {
	slot := t.slot(t.ring[place].id)
	for t.index[slot] != 0 {
		slot = t.next(slot)
	}
	t.index[slot] = uint32(place) + 1
}

// grow makes the index twice as long.
func (t *toldIDs) grow() {
	t.index = make([]uint32, max(16, 2*len(t.index)))
	for place := range t.ring {
		t.enter(place)
	}
}

// forget takes an id that is there off the index. What stands behind it, up to
// the next free slot, is entered anew: it may have been put off by it.
func (t *toldIDs) forget(id ulid.ULID) {
	slot := t.slot(id)
	for t.ring[t.index[slot]-1].id != id {
		slot = t.next(slot)
	}
	t.index[slot] = 0
	for slot = t.next(slot); t.index[slot] != 0; slot = t.next(slot) {
		place := t.index[slot] - 1
		t.index[slot] = 0
		t.enter(int(place))
	}
}

// check says what is wrong with the index; nil: every id is found where it is.
func (t *toldIDs) check() error {
	last, n := Seq(0), 0
	for i := range t.ring {
		x := &t.ring[(t.first+i)%len(t.ring)]
		if at, ok := t.get(x.id); !ok || at != x.at || at <= last {
			return fmt.Errorf("the told event of id %s, at #%d, is found at #%d, %v", x.id, x.at, at, ok)
		}
		last = x.at
	}
	for _, place := range t.index {
		if place != 0 {
			n++
		}
	}
	if n != len(t.ring) {
		return fmt.Errorf("%d ids of told events are found, and there are %d", n, len(t.ring))
	}
	return nil
}

const keptTold = 24 // bytes of one

// keep returns the ids, each with its position behind it, by position.
func (t *toldIDs) keep() []byte {
	out := make([]byte, 0, keptTold*len(t.ring))
	for i := range t.ring {
		x := &t.ring[(t.first+i)%len(t.ring)]
		out = binary.BigEndian.AppendUint64(append(out, x.id[:]...), uint64(x.at))
	}
	return out
}

// toldOf returns the ids that were kept.
func toldOf(b []byte) (t toldIDs, err error) {
	if len(b)%keptTold != 0 || len(b)/keptTold > maxTold {
		return t, fmt.Errorf("%d bytes are not ids of told events and their positions", len(b))
	}
	last := Seq(0)
	for ; len(b) > 0; b = b[keptTold:] {
		id, at := ulid.ULID(b[:16]), Seq(binary.BigEndian.Uint64(b[16:]))
		if _, twice := t.get(id); twice || at <= last {
			return t, fmt.Errorf("the told event of id %s, at #%d, is out of order", id, at)
		}
		t.add(id, at)
		last = at
	}
	return t, nil
}
