package datadir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/chain"
	"rollcall/events/files"
)

// sealedBlock is a block that the server writes no more, as it was when its
// records were proved.
type sealedBlock struct {
	Index uint64     `json:"index"`
	Last  events.Seq `json:"last"`
	Hash  string     `json:"hash"`
	Chain string     `json:"chain,omitempty"` // the running hash at Last; empty: not known
}

// sealedBlocks is the file of the sealed blocks. Sum proves the file: a damaged
// one is forgotten and made again, since the records prove themselves.
type sealedBlocks struct {
	Log    string        `json:"log"`
	Blocks []sealedBlock `json:"blocks"`
	Sum    string        `json:"sum"`
}

func (s sealedBlocks) sum() string {
	s.Sum = ""
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // it has strings and numbers only
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// loadSealed returns the sealed blocks of a log, none if they are not known.
func loadSealed(dir, log string) []sealedBlock {
	b, found, err := readFile(filepath.Join(dir, sealedFile))
	var s sealedBlocks
	if err != nil || !found || json.Unmarshal(b, &s) != nil || s.Sum != s.sum() || s.Log != log {
		return nil
	}
	return s.Blocks
}

func saveSealed(dir, log string, list []sealedBlock) error {
	s := sealedBlocks{Log: log, Blocks: list}
	s.Sum = s.sum()
	return files.ReplaceJSON(filepath.Join(dir, sealedFile), s)
}

// seal returns a block at whose end the running hash is that of read, which is nil
// if it is not known.
func seal(b blocks.Block, read *chain.Chain) sealedBlock {
	s := sealedBlock{Index: b.Index, Last: b.Last, Hash: hex.EncodeToString(b.Hash[:])}
	if read != nil {
		s.Chain = hex.EncodeToString(read.Chain[:])
	}
	return s
}

// is reports whether a block is the sealed one.
func (s sealedBlock) is(b blocks.Block) bool {
	return s.Index == b.Index && s.Last == b.Last && s.Hash == hex.EncodeToString(b.Hash[:])
}

// end returns the end of the block as a position of a log.
func (s sealedBlock) end(log string) (chain.Position, bool) {
	p, err := position(log, s.Last, s.Chain)
	return p, err == nil
}

// known returns what a check need not read again of a log: the first blocks, up to
// one of which not all is known. The records of a block in which there is a position
// that is known are read all the same, to be compared there.
func (w witness) known(log string) (known []blocks.Known) {
	if log != w.position.Log {
		return nil
	}
	var before events.Seq
	for _, s := range w.sealed {
		hash, err := hex.DecodeString(s.Hash)
		k := blocks.Known{Index: s.Index, Last: s.Last}
		if _, ok := s.end(log); !ok || err != nil || copy(k.Hash[:], hash) != len(k.Hash) || s.Last <= before {
			break
		}
		for _, p := range []chain.Position{w.synced, w.position} {
			k.Visit = k.Visit || before < p.Seq && p.Seq <= s.Last
		}
		known, before = append(known, k), s.Last
	}
	return known
}

// differs is the refusal of a sealed block that is not what it was.
func (s sealedBlock) differs(path string) error {
	err := events.Rewritten(s.Last, "the block that ends there is not the one that the server has ended")
	err.Where = fmt.Sprintf("%s, up to position %d", path, s.Last)
	return err
}

// compareSealed holds the blocks of a log against those that were sealed.
func (l *Checked) compareSealed() error {
	found := map[uint64]blocks.Block{}
	for _, b := range l.report.Blocks {
		found[b.Index] = b
	}
	for _, s := range l.witness.sealed {
		if !s.is(found[s.Index]) {
			return s.differs(filepath.Join(filepath.Dir(l.store.IndexPath()), fmt.Sprintf("%d.blk", s.Index)))
		}
	}
	return nil
}

// sealed returns the blocks of a checked log that have others after them. The
// server may write the first block of a log again whose beginning was purged.
func (l *Checked) sealed() (list []sealedBlock) {
	for i := range l.report.Blocks {
		if i < len(l.report.Blocks)-1 && (i > 0 || l.report.Before == 0) {
			list = append(list, l.blocks[i])
		}
	}
	return list
}

// recheckEvery is the pause between two blocks that are read again: 8 MiB in 15
// seconds is what no disk notices.
const recheckEvery = 15 * time.Second

// sealing are the sealed blocks of a running instance.
type sealing struct {
	mu       sync.Mutex // held while one is read, or some are purged
	known    []sealedBlock
	next     int  // which of them is read next
	archived bool // the first events were purged
}

// watch reads the sealed blocks of a running instance again and again, one at a
// time, and adds those that were sealed since. It ends with the error of a block
// that is damaged.
func (s *sealing) watch(ctx context.Context, dir, log string, subjects events.Subjects) error {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := s.recheck(dir, log, subjects)
		if p := new(fs.PathError); errors.As(err, &p) && !errors.Is(err, unix.EIO) {
			continue // too many open files, say: another time
		}
		if err != nil {
			return err
		}
	}
}

// recheck reads one block.
func (s *sealing) recheck(dir, log string, subjects events.Subjects) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.next, err = recheck(dir, log, subjects, s.archived, s.known, s.next)
	return err
}

// purge has blocks purged. Those that are left are sealed again, one by one.
func (s *sealing) purge(dir, log string, purge func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.next, s.archived = nil, 0, true
	if err := saveSealed(dir, log, nil); err != nil {
		return err
	}
	return purge()
}

// recheck reads one block: the first that was sealed since the last call, else the
// one at next of those that are known. It returns the known blocks and which of
// them is the next. The first block of a log whose beginning was purged may be
// written again.
func recheck(dir, log string, subjects events.Subjects, archived bool, known []sealedBlock, next int) ([]sealedBlock, int, error) {
	store, err := blocks.OpenNameless(dir, subjects) // the server may be writing the description
	if err != nil {
		return known, next, err
	}
	indices := store.Sealed()
	if archived {
		store.Archived = math.MaxInt64 // where it begins was checked when the instance started
		indices = indices[min(1, len(indices)):]
	}
	if len(indices) < len(known) {
		return known, next, known[len(indices)].differs(dir)
	}
	if len(indices) > len(known) {
		next = len(known)
	}
	if len(indices) == 0 {
		return known, 0, nil
	}
	before, read := sealedBlock{}, chain.New(log)
	if next > 0 {
		before = known[next-1]
	}
	if next > 0 || archived {
		read = nil
		if p, ok := before.end(log); ok {
			read = chain.From(p)
		}
	}
	b, err := store.CheckBlock(indices[next], before.Last, func(seq events.Seq, raw []byte) {
		if read != nil {
			read.Take(seq, raw)
		}
	})
	if err != nil {
		return known, next, err
	}
	if next < len(known) {
		if !known[next].is(b) {
			return known, next, known[next].differs(b.Path)
		}
		return known, (next + 1) % len(known), nil
	}
	known = append(known, seal(b, read))
	// What cannot be saved now is found again.
	_ = saveSealed(dir, log, known)
	return known, 0, nil
}
