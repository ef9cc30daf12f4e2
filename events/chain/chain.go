// Package chain is the running hash over a log's events, by which two readers
// know that they have read the same.
package chain

import (
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/minio/highwayhash"

	"rollcall/events"
)

// Sum is the running hash after an event; zero before the first.
type Sum [highwayhash.Size]byte

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
	Chain Sum
}

// key is a part of the format, and no secret.
var key = []byte("rollcall: chain of a log's events")[:highwayhash.Size]

// Chain takes events one after the other into a Position.
type Chain struct {
	Position
	hash hash.Hash
	head [highwayhash.Size + 8]byte // the chain before, and the length of the event
}

// New returns the chain of a log of which nothing was read.
func New(log string) *Chain { return From(Position{Log: log}) }

// From returns the chain of a reader that has come to p.
func From(p Position) *Chain {
	h, err := highwayhash.New(key)
	if err != nil {
		panic(fmt.Sprintf("a key of %d bytes: %v", len(key), err))
	}
	return &Chain{Position: p, hash: h}
}

// Take takes one more event with these bytes into the chain.
func (c *Chain) Take(seq events.Seq, raw []byte) {
	c.hash.Reset()
	copy(c.head[:], c.Chain[:])
	binary.BigEndian.PutUint64(c.head[highwayhash.Size:], uint64(len(raw)))
	c.hash.Write(c.head[:])
	c.hash.Write(raw)
	c.Seq = seq
	c.hash.Sum(c.Chain[:0])
}

// Before returns the running hash before the last event that was taken; zero if
// none was.
func (c *Chain) Before() Sum { return Sum(c.head[:highwayhash.Size]) }
