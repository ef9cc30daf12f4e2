package blocks

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/s2"

	"rollcall/events"
)

const (
	messages    = "msgs"
	blockSuffix = ".blk"

	// The server begins a new block before one grows over 8 MiB, but one record
	// may be larger than a block. Compressed or not, a block of a log has less.
	maxBlock = 64 << 20
)

// compressed is how a block begins whose records are compressed with S2: this,
// their size as a varint, the stream, and the last checksum in clear.
var compressed = []byte("cmp\x01")

// blockFile is a block by its name.
type blockFile struct {
	path  string
	index uint64
	size  int64
}

// strange are files of a store that would make the server do something else
// with the blocks than to read them, by suffix or name.
var strange = map[string]string{
	".key": "E-LOG-ENCRYPTED", ".idx": "E-LOG-DAMAGED", "__msgs__": "E-LOG-DAMAGED", "__new_msgs__": "E-LOG-DAMAGED",
}

func strangeFile(dir string, e fs.DirEntry) error {
	code, ok := strange[cmp.Or(filepath.Ext(e.Name()), e.Name())]
	if !ok {
		return nil
	}
	err := &events.Error{Code: code, What: "the store of the log holds a file that rollcall's server does not write", Where: filepath.Join(dir, e.Name()),
		Do: events.Repair, Exit: events.ExitHalt}
	if code == "E-LOG-ENCRYPTED" {
		err.What, err.Do = "the log is encrypted", "open it with the server that has the key"
	}
	return err
}

// list returns the blocks of a stream in the order of their numbers.
func list(dir string) (blocks []blockFile, err error) {
	above, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	for _, e := range above {
		if err := strangeFile(dir, e); err != nil {
			return nil, err
		}
	}
	dir = filepath.Join(dir, messages)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no message: the witnesses say whether there was one
	}
	if err != nil {
		return nil, unreadable(dir, err)
	}
	for _, e := range entries {
		if err := strangeFile(dir, e); err != nil {
			return nil, err
		}
		number, ok := strings.CutSuffix(e.Name(), blockSuffix)
		if !ok {
			continue
		}
		b := blockFile{path: filepath.Join(dir, e.Name())}
		if b.index, err = strconv.ParseUint(number, 10, 32); err != nil || strconv.FormatUint(b.index, 10) != number || b.index == 0 {
			return nil, damaged("a block of the log has no number", b.path, "the server would take it for another block", "")
		}
		info, err := os.Stat(b.path)
		if err != nil {
			return nil, unreadable(b.path, err)
		}
		if !info.Mode().IsRegular() {
			return nil, damaged("a block of the log is no file", b.path, "it is "+info.Mode().Type().String(), "")
		}
		b.size = info.Size()
		blocks = append(blocks, b)
	}
	slices.SortFunc(blocks, func(a, b blockFile) int { return cmp.Compare(a.index, b.index) })
	return blocks, nil
}

// block is a block in memory.
type block struct {
	file   blockFile
	raw    []byte // the bytes of the file
	data   []byte // its records; nil: they are not unpacked yet
	hash   *hasher
	packed bool
	proved int            // of data, how many bytes are records that their checksums prove
	ready  []events.Event // of the proved records those that are events, if somebody is to read them
}

// load reads a block, into buf if it has room.
func (s *Store) load(i int, buf *buffers) (*block, error) {
	b, err := s.read(i, buf)
	if err == nil {
		err = b.open(buf)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// read is load of the bytes of the file alone.
func (s *Store) read(i int, buf *buffers) (*block, error) {
	f := s.blocks[i]
	if f.size > maxBlock {
		return nil, damaged("a block of the log is too large", f.path, fmt.Sprintf("it has %d bytes; the server writes no more than %d", f.size, maxBlock), "")
	}
	data, err := readWhole(f, buf.raw)
	if err != nil {
		return nil, err
	}
	buf.raw = data
	return &block{file: f, raw: data, hash: newHasher(s.name + "-" + strconv.FormatUint(f.index, 10))}, nil
}

// open finds the records of a block that was read.
func (b *block) open(buf *buffers) (err error) {
	if b.data = b.raw; !bytes.HasPrefix(b.raw, compressed) {
		return nil
	}
	b.packed = true
	if b.data, err = unpack(b.raw[len(compressed):], buf.data); err != nil {
		return damaged(fmt.Sprintf("block %d of the log cannot be decompressed", b.file.index), b.file.path, err.Error(), "no record of it can be read")
	}
	buf.data = b.data
	return nil
}

// buffers are the memory of one block after another: what a block of them holds
// is good until the next is loaded into them.
type buffers struct{ raw, data []byte }

func readWhole(f blockFile, buf []byte) ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, unreadable(f.path, err)
	}
	defer file.Close()
	data := slices.Grow(buf[:0], int(f.size))[:f.size]
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, unreadable(f.path, err)
	}
	return data, nil
}

// unpack returns the records of a compressed block, in the memory of buf.
func unpack(data, buf []byte) ([]byte, error) {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > maxBlock || len(data)-n < checksumSize {
		return nil, errors.New("its size is none")
	}
	stream, sum := data[n:len(data)-checksumSize], data[len(data)-checksumSize:]
	out := bytes.NewBuffer(slices.Grow(buf[:0], int(min(size, uint64(len(data))*8))))
	got, err := out.ReadFrom(io.LimitReader(s2.NewReader(bytes.NewReader(stream)), int64(size)+1))
	if err != nil {
		return nil, err
	}
	if uint64(got)+checksumSize != size {
		return nil, fmt.Errorf("it has %d bytes, and says that they are %d", got+checksumSize, size)
	}
	return append(out.Bytes(), sum...), nil
}

// first returns the first record of a block.
func (b *block) first() (r record, ok bool) {
	_, why := b.hash.parse(b.data, &r)
	return r, why == "" && r.flags == 0
}

// blockOf returns the number of the block from which on a reader finds seq. Where
// the log was not checked it looks at the first record of each block only; what is
// wrong is found by the scan from there.
func (s *Store) blockOf(seq events.Seq) int {
	if i, ok := s.checkedBlockOf(seq); ok {
		return i
	}
	for i := len(s.blocks) - 1; i > 0; i-- {
		if first, ok := s.firstOf(i); ok && first <= seq {
			return i
		}
	}
	return 0
}

// checkedBlockOf is blockOf by what a check has found.
func (s *Store) checkedBlockOf(seq events.Seq) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checked == nil || s.Archived > 0 {
		return 0, false
	}
	all := s.checked.Blocks
	n, _ := slices.BinarySearchFunc(all, seq, func(b Block, seq events.Seq) int { return cmp.Compare(b.Last, seq) })
	if n == len(all) {
		return 0, false
	}
	return slices.BinarySearchFunc(s.blocks, all[n].Index, func(b blockFile, index uint64) int { return cmp.Compare(b.index, index) })
}

// firstOf returns the first position of a block by its header alone.
func (s *Store) firstOf(i int) (events.Seq, bool) {
	f, err := os.Open(s.blocks[i].path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	var head [headerSize]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return 0, false
	}
	if bytes.HasPrefix(head[:], compressed) {
		b, err := s.load(i, &buffers{})
		if err != nil {
			return 0, false
		}
		r, ok := b.first()
		return r.seq, ok
	}
	seq := binary.LittleEndian.Uint64(head[4:])
	return events.Seq(seq), seq&(erased|tombstone) == 0
}
