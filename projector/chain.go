package projector

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"rollcall/events"
)

// Chain is the Position of a reader that keeps no state: two readers of the
// same events have the same.
type Chain struct {
	position Position
	hash     hash.Hash
}

// NewChain returns the chain of a log of which nothing was read.
func NewChain(log string) *Chain {
	return &Chain{position: Position{Log: log}, hash: sha256.New()}
}

// Take takes one more event with these bytes into the chain.
func (c *Chain) Take(seq events.Seq, raw []byte) { c.position.advance(c.hash, seq, raw) }

// Position returns how far the chain goes.
func (c *Chain) Position() Position { return c.position }

func (p *Position) advance(h hash.Hash, seq events.Seq, raw []byte) {
	h.Reset()
	h.Write(p.Chain[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(raw)))
	h.Write(n[:])
	h.Write(raw)
	p.Seq = seq
	h.Sum(p.Chain[:0])
}
