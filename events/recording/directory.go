package recording

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"rollcall/events"
)

// appendEntry appends the line of an entry in the directory.
func appendEntry(b []byte, e *entry) []byte {
	le := binary.LittleEndian
	far := e.offset >= 1<<32-1
	extra, offset := extraSize, uint32(e.offset)
	if far {
		extra, offset = extra+12, 1<<32-1
	}
	b = le.AppendUint32(b, directorySignature)
	b = le.AppendUint16(b, 63) // written by a zip of this version
	b = e.common(b)
	b = le.AppendUint16(b, uint16(extra))
	b = append(b, make([]byte, 10)...) // no comment, disk 0, no attributes
	b = le.AppendUint32(b, offset)
	b = append(b, e.name...)
	if far {
		b = le.AppendUint16(b, zip64ID)
		b = le.AppendUint16(b, 8)
		b = le.AppendUint64(b, uint64(e.offset))
	}
	return append(e.extra(b), e.sum[:]...)
}

// appendEnd appends what follows the directory, which has so many entries and
// bytes and begins at offset.
func appendEnd(b []byte, entries, size, offset int64) []byte {
	le := binary.LittleEndian
	if entries >= 1<<16-1 || size >= 1<<32-1 || offset >= 1<<32-1 {
		b = le.AppendUint32(b, end64Signature)
		b = le.AppendUint64(b, end64Size-12)
		b = le.AppendUint16(b, 63)
		b = le.AppendUint16(b, 45)
		b = append(b, make([]byte, 8)...) // disk 0
		b = le.AppendUint64(b, uint64(entries))
		b = le.AppendUint64(b, uint64(entries))
		b = le.AppendUint64(b, uint64(size))
		b = le.AppendUint64(b, uint64(offset))
		b = le.AppendUint32(b, locatorSignature)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, uint64(offset+size))
		b = le.AppendUint32(b, 1)
		entries, size, offset = 1<<16-1, 1<<32-1, 1<<32-1
	}
	b = le.AppendUint32(b, endSignature)
	b = append(b, make([]byte, 4)...) // disk 0
	b = le.AppendUint16(b, uint16(entries))
	b = le.AppendUint16(b, uint16(entries))
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint32(b, uint32(offset))
	return append(b, 0, 0) // no comment
}

// appendDirectory appends the whole end of a file whose entries end at offset.
func appendDirectory(b []byte, entries []entry, offset int64) []byte {
	from := len(b)
	for i := range entries {
		b = appendEntry(b, &entries[i])
	}
	return appendEnd(b, int64(len(entries)), int64(len(b)-from), offset)
}

// ending is what the last bytes of a file say of its directory.
type ending struct{ entries, size, offset int64 }

// readEnding reads the end of a file of n bytes. It is not ok if that is not
// exactly as a writer makes it.
func readEnding(f io.ReaderAt, n int64) (e ending, ok bool) {
	size := min(n, endSize+locatorSize+end64Size)
	b := make([]byte, size)
	if _, err := f.ReadAt(b, n-size); err != nil || size < endSize {
		return e, false
	}
	le := binary.LittleEndian
	last := b[len(b)-endSize:]
	e = ending{int64(le.Uint16(last[10:])), int64(le.Uint32(last[12:])), int64(le.Uint32(last[16:]))}
	if e.entries == 1<<16-1 && len(b) == endSize+locatorSize+end64Size {
		e = ending{int64(le.Uint64(b[32:])), int64(le.Uint64(b[40:])), int64(le.Uint64(b[48:]))}
	}
	if e.entries < 1 || e.size < 0 || e.offset < 0 || e.offset > n || e.size > n {
		return e, false
	}
	want := appendEnd(nil, e.entries, e.size, e.offset)
	return e, bytes.HasSuffix(b, want) && e.offset+e.size+int64(len(want)) == n
}

// readDirectory reads the entries of a file whose end is whole. Every byte of
// the directory is compared with what a writer makes of what was read.
func (r *Recording) readDirectory(d ending) error {
	if d.entries > maxEntries {
		return r.tooMuch(fmt.Sprintf("%d parts", d.entries), maxEntries, "parts")
	}
	in := bufio.NewReaderSize(io.NewSectionReader(r.file, d.offset, d.size), 1<<16)
	r.entries = make([]entry, 0, min(d.entries, d.size/(directorySize+int64(extraSize))))
	var line, again []byte
	for range d.entries {
		at := d.offset + d.size - int64(in.Buffered())
		var err error
		if line, err = nextLine(in, line[:0]); err != nil {
			return r.damaged("the directory", at, "it ends before its last entry")
		}
		e, why := parseEntry(line)
		if why != "" {
			return r.damaged("the directory", at, why)
		}
		if again = appendEntry(again[:0], &e); !bytes.Equal(line, again) {
			return r.damaged("the directory", at, "the entry of "+e.name+" is not as one is written")
		}
		if err := r.add(e); err != nil {
			return err
		}
	}
	if _, err := in.ReadByte(); err == nil {
		return r.damaged("the directory", d.offset, "it goes on after its last entry")
	}
	if r.end() != d.offset {
		return r.damaged("the directory", d.offset, fmt.Sprintf("its entries end at byte %d", r.end()))
	}
	return nil
}

// nextLine reads the line of the next entry.
func nextLine(in io.Reader, b []byte) ([]byte, error) {
	b = append(b, make([]byte, directorySize)...)
	if _, err := io.ReadFull(in, b); err != nil {
		return b, err
	}
	le := binary.LittleEndian
	rest := int(le.Uint16(b[28:])) + int(le.Uint16(b[30:]))
	b = append(b, make([]byte, rest)...)
	_, err := io.ReadFull(in, b[directorySize:])
	return b, err
}

// parseEntry reads the line of an entry. Only what appendEntry does not make
// again is looked at.
func parseEntry(b []byte) (e entry, why string) {
	le := binary.LittleEndian
	name, extra := int(le.Uint16(b[28:])), int(le.Uint16(b[30:]))
	if le.Uint32(b) != directorySignature || name > maxName || extra < extraSize || len(b) != directorySize+name+extra {
		return e, "an entry of it is none"
	}
	e.take(b[10:], string(b[directorySize:directorySize+name]), b[len(b)-extraSize:])
	copy(e.sum[:], b[len(b)-sumSize:])
	e.offset = int64(le.Uint32(b[42:]))
	if extra == extraSize+12 {
		e.offset = int64(le.Uint64(b[directorySize+name+4:]))
	}
	return e, e.check()
}

// take reads what the local header and the directory both have, from the number
// of the compression on, and the extra field.
func (e *entry) take(b []byte, name string, extra []byte) {
	le := binary.LittleEndian
	e.name = name
	e.compression = Compression(le.Uint16(b))
	e.crc, e.stored, e.size = le.Uint32(b[6:]), le.Uint32(b[10:]), le.Uint32(b[14:])
	u64 := func(i int) uint64 { return le.Uint64(extra[4+8*i:]) }
	e.first, e.last = events.Seq(u64(0)), events.Seq(u64(1))
	e.from, e.to = int64(u64(2)), int64(u64(3))
	copy(e.chain[:], extra[4+4*8:])
	switch {
	case strings.HasPrefix(name, blockPrefix):
		e.part = blockPart
	case strings.HasPrefix(name, keyframePrefix):
		e.part = keyframePart
	}
}

// check says what is wrong with an entry by itself.
func (e *entry) check() (why string) {
	named := e.name == manifestName && e.compression == Stored
	switch e.part {
	case blockPart:
		named = e.name == blockName(e.first) && e.first > 0 && e.last >= e.first && e.from <= e.to
		if named && (e.last > 1<<62 || uint64(e.last-e.first) >= uint64(e.size)/recordHead) {
			return e.name + " says that it has more events than bytes for them"
		}
	case keyframePart:
		named = keyframeName.MatchString(e.name) && e.first == e.last && e.first > 0 &&
			strings.HasPrefix(e.name, fmt.Sprintf("%s%020d.", keyframePrefix, e.first))
	}
	switch {
	case !named:
		return fmt.Sprintf("an entry of it has no name of a recording's: %.60q", e.name)
	case e.compression != Stored && e.compression != Deflate && e.compression != Zstd:
		return fmt.Sprintf("%s is packed in a way that recordings have not: %d", e.name, e.compression)
	}
	return ""
}

// limit is the most that an entry may declare.
func (e *entry) limit() int64 {
	switch e.part {
	case blockPart:
		return maxBlock
	case keyframePart:
		return maxKeyframe
	}
	return manifestSize
}
