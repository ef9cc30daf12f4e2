package blocks

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/minio/highwayhash"

	"rollcall/events"
)

// Block is what a check found of one block.
type Block struct {
	Index uint64
	Path  string
	Last  events.Seq
	Hash  [highwayhash.Size]byte // of the file
}

// Torn is the beginning of a record at the very end of a log: the server was
// killed, or the power went, while it was written. It was never acknowledged.
type Torn struct {
	Path     string
	Position events.Seq // that the record would have had
	Offset   int64      // of its first byte
	Bytes    int64      // from there to the end of the file
}

func (t Torn) String() string {
	return fmt.Sprintf("%d bytes of a record that was not ended, for position %d (%s, offset %d)", t.Bytes, t.Position, t.Path, t.Offset)
}

// scanner is one pass over records in their order.
type scanner struct {
	store *Store
	at    events.Seq // last position that was read
	torn  *Torn

	changed bool // a block was not what is known of it

	// A log whose beginning was purged begins with a block that may have purged
	// events still, and has tombstones of those further on, in order.
	going  bool       // a record was read
	unmet  error      // the index knows another record at its last position; it may be a tombstone that was written then
	purged events.Seq // last position that is known to be purged
}

// pass says what is read, and who is told of it.
type pass struct {
	from   int                               // the first block
	known  []Known                           // what is known of the first blocks of the log
	visit  func(*record) error               // is called with each record that is read
	ended  func(b Block, skipped bool) error // is called after each block that has records
	events bool                              // records are read as events
}

// scan reads blocks, and compares the index if it comes to the end of the log.
func (s *Store) scan(ctx context.Context, p pass) (rep Report, err error) {
	if x := &s.index; x.whole && x.first > max(s.Archived, 1) && x.msgs > 0 {
		return rep, deleted(x.first-1, x.path)
	}
	sc := &scanner{store: s}
	if p.from > 0 {
		first, _ := s.firstOf(p.from) // the block is scanned: what it says here is proved there
		sc.at, sc.going, sc.purged = max(first, 1)-1, true, max(first, 1)-1
	}
	for l := range s.blocksOf(ctx, &p) {
		before := sc.at
		skipped, err := sc.take(l, &p)
		if err != nil && err != errTorn {
			return rep, err
		}
		if sc.at > before {
			b := Block{Index: l.block.file.index, Path: l.block.file.path, Last: sc.at, Hash: l.sum}
			rep.Blocks = append(rep.Blocks, b)
			if p.ended != nil {
				if err := p.ended(b, skipped); err != nil {
					return rep, err
				}
			}
		}
		s.giveBack(l.buf)
	}
	if err := ctx.Err(); err != nil {
		return rep, err
	}
	if sc.unmet != nil {
		return rep, sc.unmet
	}
	rep.Last, rep.Torn, rep.Before = sc.at, sc.torn, sc.purged
	if s.index.whole && p.from == 0 && s.index.first > 0 {
		rep.Before = max(rep.Before, s.index.first-1) // tombstones are written after it
	}
	if s.index.whole {
		rep.Known = s.index.last
	}
	return rep, s.index.compare(sc.at, s.Archived, s.Relaxed)
}

// checking is the memory of CheckBlock, which an instance calls every few
// seconds: eight megabytes of garbage each time would be most of the garbage that
// an idle instance makes.
var checking = sync.Pool{New: func() any { return new(buffers) }}

// CheckBlock reads one block whose records follow after, and which others
// follow: it has no torn record. visit is called as that of Check.
func (s *Store) CheckBlock(index uint64, after events.Seq, visit func(seq events.Seq, raw []byte)) (Block, error) {
	for i, f := range s.blocks {
		if f.index != index {
			continue
		}
		buf := checking.Get().(*buffers)
		defer checking.Put(buf)
		b, err := s.load(i, buf)
		if err != nil {
			return Block{}, err
		}
		if after == 0 && i > 0 && s.Archived > 0 {
			first, _ := s.firstOf(i) // of one that follows a block of which no more is known
			after = max(first, 1) - 1
		}
		sc := &scanner{store: s, at: after, going: i > 0, purged: after}
		if err := sc.block(i, b, func(r *record) error {
			visit(r.seq, r.body)
			return nil
		}); err != nil {
			return Block{}, err
		}
		return Block{Index: f.index, Path: f.path, Last: sc.at, Hash: s.hashOf(b)}, nil
	}
	return Block{}, events.Gap(after+1, 0)
}

// Sealed returns the numbers of the blocks that the server writes no more: those
// with records after them.
func (s *Store) Sealed() (indices []uint64) {
	for i, f := range s.blocks {
		if !(&scanner{store: s}).isEnd(i) {
			indices = append(indices, f.index)
		}
	}
	return indices
}

// block reads the records of block i.
func (sc *scanner) block(i int, b *block, visit func(*record) error) error {
	var r record
	n := 0 // records that are events
	for off := 0; off < len(b.data); off += r.size {
		l, why := b.parse(off, &r)
		if why != "" {
			return sc.bad(i, b, off, l, why)
		}
		if r.flags == 0 {
			if n < len(b.ready) {
				r.ready = &b.ready[n]
			}
			n++
		}
		if !sc.going && r.flags == 0 && r.seq <= sc.store.Archived {
			sc.at, sc.purged = r.seq-1, r.seq-1
		}
		sc.going = true
		if r.flags == tombstone && r.seq < sc.store.Archived && r.seq <= sc.purged+1 {
			sc.purged = max(sc.purged, r.seq)
			if bytes.Equal(r.checksum, sc.store.index.checksum[:]) {
				sc.unmet = nil
			}
			continue
		}
		if r.flags != 0 || r.seq != sc.at+1 {
			return sc.disorder(b, off, r)
		}
		sc.at = r.seq
		if err := sc.store.index.meet(&r); err != nil {
			if sc.unmet = err; sc.store.Archived == 0 {
				return err
			}
		}
		if err := visit(&r); err != nil {
			return err
		}
	}
	return nil
}

// disorder is the refusal of a whole record that does not follow the last one.
func (sc *scanner) disorder(b *block, off int, r record) error {
	where := place(b, off)
	switch {
	case r.flags != 0 && r.seq <= sc.at:
		return deleted(r.seq, where)
	case r.flags != 0:
		return deleted(sc.at+1, where)
	case r.seq <= sc.at:
		return damaged(fmt.Sprintf("position %d stands twice in the log", r.seq), where, fmt.Sprintf("position %d has been read before it", sc.at), "")
	}
	gap := events.Gap(sc.at+1, r.seq)
	gap.Where = where
	if n := r.seq - sc.at - 1; n > 1 {
		gap.What = fmt.Sprintf("positions %d to %d are missing from the log", sc.at+1, r.seq-1)
	}
	return gap
}

func place(b *block, off int) string {
	if b.packed {
		return fmt.Sprintf("%s, offset %d of what it unpacks to", b.file.path, off)
	}
	return fmt.Sprintf("%s, offset %d", b.file.path, off)
}

// bad tells a record that was being written from one that was damaged. Only
// that can be torn which the file ends in, and then nothing in the rest of the
// file is a record: a length that was damaged goes past the end, too.
func (sc *scanner) bad(i int, b *block, off int, l lengths, why string) error {
	next, found := sc.resync(b, off)
	if !found && !b.packed && sc.isEnd(i) {
		rest := b.data[off:]
		if sc.begun(b, rest, l) || sc.store.Relaxed && zeroed(b.data, off) {
			sc.torn = &Torn{Path: b.file.path, Position: sc.at + 1, Offset: int64(off), Bytes: int64(len(rest))}
			return errTorn
		}
	}
	lost := fmt.Sprintf("the events from position %d to the end of the block are lost", sc.at+1)
	switch {
	case found && next == sc.at+2:
		lost = fmt.Sprintf("the event of position %d is lost, the log goes on at %d", sc.at+1, next)
	case found && next > 0:
		lost = fmt.Sprintf("the events of positions %d to %d are lost, the log goes on at %d", sc.at+1, next-1, next)
	}
	return damaged(fmt.Sprintf("the record of position %d is damaged", sc.at+1), place(b, off), why, lost)
}

// isEnd reports whether no block after i has bytes.
func (sc *scanner) isEnd(i int) bool {
	for _, b := range sc.store.blocks[i+1:] {
		if b.size > 0 {
			return false
		}
	}
	return true
}

// begun reports whether rest is the beginning of the record that would be the
// next, and no more of it than a part.
func (sc *scanner) begun(b *block, rest []byte, l lengths) bool {
	if len(rest) < headerSize {
		return len(rest) < 12 || recordSeq(rest) == sc.at+1
	}
	if l.size <= len(rest) || l.size > maxBlock || recordSeq(rest) != sc.at+1 {
		return false
	}
	// A whole record whose length was damaged ends where the file does.
	var r record
	for _, headers := range []bool{true, false} {
		l := lengths{size: len(rest), subject: l.subject, headers: headers}
		if least := leastRecord + l.subject + 4; l.size >= least && b.hash.parseAs(rest, l, &r) == "" {
			return false
		}
	}
	return true
}

// sector is what a disk writes at once.
const sector = 512

// zeroed reports whether data ends with zeros that begin at a sector, or in the
// record at off.
func zeroed(data []byte, off int) bool {
	end := len(bytes.TrimRight(data, "\x00"))
	return end <= off || (end+sector-1)/sector*sector < len(data)
}

// searchBytes bounds what is hashed in the search for a record behind a damaged
// one, so that a block made for it cannot make the search long.
const searchBytes = 256 << 20

// resync looks for the next whole record after a damaged one.
func (sc *scanner) resync(b *block, off int) (events.Seq, bool) {
	prefix := []byte("rollcall.")
	var r record
	for p, budget := off+1, searchBytes; budget > 0; p++ {
		i := bytes.Index(b.data[min(p+headerSize, len(b.data)):], prefix)
		if i < 0 {
			return 0, false
		}
		p += i
		if l, why := measure(b.data[p:]); why == "" && recordSeq(b.data[p:]) > sc.at {
			budget -= l.size
			if b.hash.parseAs(b.data[p:], l, &r) == "" && r.flags == 0 {
				return r.seq, true
			}
		}
	}
	return 0, true // whatever there is, it is not said to be torn
}

// recordSeq returns the position in the header of a record, with its flags.
func recordSeq(b []byte) events.Seq { return events.Seq(binary.LittleEndian.Uint64(b[4:])) }
