package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"rollcall/events"
)

// AppendRecord appends an event as a recording has it, little endian: the position
// (8 bytes), the log's time in nanoseconds since 1970 (8), the length of the
// subject (2), that of the event (4), the subject, the event as the log has it.
func AppendRecord(b []byte, e events.Event) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(e.Seq))
	b = le.AppendUint64(b, uint64(e.Stored.UnixNano()))
	b = le.AppendUint16(b, uint16(len(e.Subject)))
	b = le.AppendUint32(b, uint32(len(e.Raw)))
	b = append(b, e.Subject...)
	return append(b, e.Raw...)
}

// Seal is SHA-256 over events in their order: over their records, one after the
// other, which are the unpacked blocks of a recording of them. It is over positions
// and times too, and stands where a Chain is not enough: whoever has it knows the
// events even if somebody wants to show others.
type Seal struct {
	hash   hash.Hash
	record []byte
}

// NewSeal returns the seal of no event.
func NewSeal() *Seal { return &Seal{hash: sha256.New()} }

// Take takes one more event into the seal.
func (s *Seal) Take(e events.Event) {
	s.record = AppendRecord(s.record[:0], e)
	s.hash.Write(s.record)
}

// Sum returns the seal of the events that were taken.
func (s *Seal) Sum() []byte { return s.hash.Sum(nil) }
