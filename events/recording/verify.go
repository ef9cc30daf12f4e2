package recording

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"

	"rollcall/events"
	"rollcall/events/chain"
)

// KeyframeInfo is a keyframe of a recording.
type KeyframeInfo struct {
	At      chain.Position
	Kind    string
	Version int
	Size    int64 // of its bytes

	entry int
}

// Keyframes returns the keyframes, in the order of their positions. Nothing of
// them was read.
func (r *Recording) Keyframes() []KeyframeInfo {
	infos := make([]KeyframeInfo, 0, len(r.frames))
	for _, i := range r.frames {
		e := &r.entries[i]
		k := KeyframeInfo{At: chain.Position{Log: r.manifest.Log, Seq: e.first, Chain: e.chain}, Size: int64(e.size), entry: i}
		form := keyframeName.FindStringSubmatch(e.name)
		k.Kind = form[1]
		_, _ = fmt.Sscan(form[2], &k.Version) // of nine digits
		infos = append(infos, k)
	}
	return infos
}

// Newest returns the last keyframe of a kind and version at or before a position.
func (r *Recording) Newest(kind string, version int, at events.Seq) (k KeyframeInfo, ok bool) {
	for _, i := range r.Keyframes() {
		if i.Kind == kind && i.Version == version && i.At.Seq <= at {
			k, ok = i, true
		}
	}
	return k, ok
}

// Keyframe reads a keyframe.
func (r *Recording) Keyframe(k KeyframeInfo) (Keyframe, error) {
	b, err := r.unpack(&r.entries[k.entry], new(buffers))
	return Keyframe{At: k.At, Kind: k.Kind, Version: k.Version, Data: b}, err
}

// Verify reads all of a recording and compares it with everything that it says
// of itself: the checksum of each part, the chain after each block, the
// keyframes' positions and chains. progress is told of each block; it may be nil.
func (r *Recording) Verify(ctx context.Context, progress func(events.Seq)) error {
	c := chain.From(r.Before())
	buf := new(buffers)
	for i := range r.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &r.entries[i]
		data, err := r.unpack(e, buf)
		if err != nil {
			return err
		}
		if crc32.ChecksumIEEE(data) != e.crc {
			return r.damaged(e.name, e.offset, "its CRC-32 is another")
		}
		if why := verify(data, e, c); why != "" {
			return r.damaged(e.name, e.offset, why)
		}
		if progress != nil {
			progress(c.Seq)
		}
	}
	return nil
}

// verify takes an entry into the chain of those before it.
func verify(data []byte, e *entry, c *chain.Chain) (why string) {
	switch e.part {
	case blockPart:
		var from, to int64
		why := records(data, e, func(x record) bool {
			if x.seq == e.first {
				from, to = x.time, x.time
			}
			from, to = min(from, x.time), max(to, x.time)
			c.Take(x.seq, x.raw)
			return true
		})
		switch {
		case why != "":
			return why
		case c.Chain != e.chain:
			return fmt.Sprintf("the chain at position %d is another", e.last)
		case from != e.from || to != e.to:
			return "its times are not those of its events"
		}
	case keyframePart:
		if e.first != c.Seq || !bytes.Equal(e.chain[:], c.Chain[:]) {
			return fmt.Sprintf("it is a keyframe of position %d with another chain, and stands at %d", e.first, c.Seq)
		}
	}
	return ""
}
