package blocks

import (
	"context"
	"crypto/sha256"
	"iter"

	"github.com/minio/highwayhash"

	"rollcall/events"
	"rollcall/events/ahead"
)

// Known is what is known of a block that was read whole before, when all blocks
// before it were what they are.
type Known struct {
	Index uint64
	Last  events.Seq
	Hash  [highwayhash.Size]byte // of its file
	Visit bool                   // its records are wanted all the same
}

// loading is a block that was loaded ahead of the scan.
type loading struct {
	at    int // of the blocks of the store
	block *block
	sum   [highwayhash.Size]byte // of the file
	buf   *buffers
	err   error
}

// blocksOf loads the blocks of a pass on all cores. Who looks at one event is not
// to wait for the blocks behind it.
func (s *Store) blocksOf(ctx context.Context, p *pass) iter.Seq[loading] {
	return func(yield func(loading) bool) {
		var all []int
		for i := p.from; i < len(s.blocks); i++ {
			all = append(all, i)
		}
		if p.events && len(all) > 0 {
			if !yield(s.loadFirst(all[0])) {
				return
			}
			all = all[1:]
		}
		for l := range ahead.Load(ctx, all, func(i int) loading { return s.loadAhead(i, p) }) {
			if !yield(l) {
				return
			}
		}
	}
}

// loadFirst loads the block that a reader begins with.
func (s *Store) loadFirst(i int) (l loading) {
	l.at, l.buf = i, s.borrow()
	l.block, l.err = s.load(i, l.buf)
	return l
}

// loadAhead loads a block, proves its records by their checksums, and decodes
// them if they are read as events. A block of a file that is known is only held
// against its hash.
func (s *Store) loadAhead(i int, p *pass) (l loading) {
	l.at, l.buf = i, s.borrow()
	if l.block, l.err = s.read(i, l.buf); l.err != nil {
		return l
	}
	if !p.events {
		l.sum = s.hashOf(l.block)
		if k, ok := p.knownOf(i, l.block); ok && k.Hash == l.sum && !k.Visit {
			return l
		}
	}
	if l.err = l.block.open(l.buf); l.err == nil {
		l.block.prove(p.events)
	}
	return l
}

// knownOf returns what is known of a block.
func (p *pass) knownOf(i int, b *block) (Known, bool) {
	if i >= len(p.known) || p.known[i].Index != b.file.index {
		return Known{}, false
	}
	return p.known[i], true
}

// take takes the next block that was loaded. One whose file is what it was when it
// was read whole, as are those before it, is skipped.
func (sc *scanner) take(l loading, p *pass) (skipped bool, err error) {
	if l.err != nil {
		return false, l.err
	}
	k, ok := p.knownOf(l.at, l.block)
	sc.changed = sc.changed || !ok || k.Hash != l.sum
	x := &sc.store.index // of the last record that it has seen it is a witness
	if !sc.changed && !k.Visit && (x.last <= sc.at || x.last > k.Last) {
		sc.at, sc.going = k.Last, true
		return true, nil
	}
	if l.block.data == nil {
		if err := l.block.open(l.buf); err != nil {
			return false, err
		}
	}
	return false, sc.block(l.at, l.block, p.visit)
}

// hashOf returns the hash of the file of a block.
func (s *Store) hashOf(b *block) [highwayhash.Size]byte {
	key := sha256.Sum256([]byte(s.name))
	return highwayhash.Sum(b.raw, key[:])
}

// prove finds how many bytes of a block are records that their checksums prove.
func (b *block) prove(decode bool) {
	for b.proved < len(b.data) {
		var r record
		if _, why := b.hash.parse(b.data[b.proved:], &r); why != "" {
			return
		}
		if decode && r.flags == 0 {
			b.ready = append(b.ready, r.event())
		}
		b.proved += r.size
	}
}

// parse reads the record at an offset into r. why says what is wrong with it.
func (b *block) parse(off int, r *record) (l lengths, why string) {
	if off >= b.proved {
		return b.hash.parse(b.data[off:], r)
	}
	if l, why = measure(b.data[off:]); why != "" {
		return l, why
	}
	r.cut(b.data[off:], l)
	return l, r.divide(b.data[off:], l)
}

func (s *Store) borrow() *buffers {
	select {
	case buf := <-s.memory:
		return buf
	default:
		return new(buffers)
	}
}

// giveBack keeps the memory of a block that nobody looks at any more.
func (s *Store) giveBack(buf *buffers) {
	select {
	case s.memory <- buf:
	default: // more were lent than are kept
	}
}
