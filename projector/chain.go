package projector

import (
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/minio/highwayhash"

	"rollcall/events"
)

// Position is how far a log was read: which log, the sequence, and a hash over
// all events up to there, each over its bytes and the hash before it. Two readers
// of the same events have the same Position, and one flipped bit in any of them
// changes every Chain behind it.
//
// The hash is HighwayHash, of 256 bits: it is over a tenth of what a fold costs
// and would be more than twice as much with SHA-256. It finds what a disk, a
// server or a copy has damaged, cut off or mixed up. It is no seal against
// somebody who may write the log and looks for another one with the same hash.
type Position struct {
	Log   string
	Seq   events.Seq
	Chain [highwayhash.Size]byte
}

// chainKey is a part of the format, and no secret.
var chainKey = []byte("rollcall: chain of a log's events")[:highwayhash.Size]

// chainHash makes one Position of another.
type chainHash struct {
	hash.Hash
	head [highwayhash.Size + 8]byte // the chain before, and the length of the event
}

func newChainHash() *chainHash {
	h, err := highwayhash.New(chainKey)
	if err != nil {
		panic(fmt.Sprintf("a key of %d bytes: %v", len(chainKey), err))
	}
	return &chainHash{Hash: h}
}

// advance takes one more event with these bytes into p.
func (h *chainHash) advance(p *Position, seq events.Seq, raw []byte) {
	h.Reset()
	copy(h.head[:], p.Chain[:])
	binary.BigEndian.PutUint64(h.head[highwayhash.Size:], uint64(len(raw)))
	h.Write(h.head[:])
	h.Write(raw)
	p.Seq = seq
	h.Sum(p.Chain[:0])
}

// Chain is the Position of a reader that keeps no state.
type Chain struct {
	position Position
	hash     *chainHash
}

// NewChain returns the chain of a log of which nothing was read.
func NewChain(log string) *Chain {
	return &Chain{position: Position{Log: log}, hash: newChainHash()}
}

// Take takes one more event with these bytes into the chain.
func (c *Chain) Take(seq events.Seq, raw []byte) { c.hash.advance(&c.position, seq, raw) }

// Position returns how far the chain goes.
func (c *Chain) Position() Position { return c.position }
