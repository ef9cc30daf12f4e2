// Package recording keeps a log, or a part of it, in one file that describes
// itself and is read without a server: a zip of compressed blocks of the log's
// own bytes, with an index by position and time, keyframes, checksums and the
// running hash of the log. docs/RECORDING.md has the format.
//
// A Writer makes one out of events; nobody sees the file before it is whole. A
// Recording is a file opened to be read, at any position, in bounded memory. A
// file that ends early is read up to the tear, and says so. What is damaged
// elsewhere is refused with an *events.Error and never read past:
//
//	E-REC-NONE     the file is no recording
//	E-REC-VERSION  a newer program has made it
//	E-REC-LIMIT    it declares more than a recording may have
//	E-REC-DAMAGED  bytes of it are not what was written
//	E-REC-TORN     it ends before anything of it can be read
//	E-REC-START    positions before its first were asked for
package recording

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"time"

	"rollcall/events"
	"rollcall/events/chain"
)

// format is the version of the format that is written, and the newest that is read.
const format = 1

// Limits of a recording. A reader refuses what declares more before it makes
// room for it, and what turns out to be more than it declares.
const (
	// maxBlock bounds the records of a block, of which at least one is whole.
	maxBlock = 8 << 20
	// maxKeyframe bounds the state of 100,000 nodes with their pods.
	maxKeyframe = 1 << 30
	// maxEntries bounds the parts of a file: a million blocks of blockSize are 1 TiB.
	maxEntries = 1 << 20
	// blockSize is how many bytes of records a writer gathers in one block. To
	// read one event a whole block is unpacked, and small ones compress badly.
	blockSize = 1 << 20
)

// Names of the parts of a file.
const (
	manifestName   = "manifest.json"
	blockPrefix    = "blocks/"
	keyframePrefix = "keyframes/"
)

// part says what an entry of the file is.
type part int

const (
	manifestPart part = iota
	blockPart
	keyframePart
)

// entry is one part of the file: what its local header and the directory say.
type entry struct {
	part        part
	name        string
	compression Compression
	crc         uint32 // of the unpacked bytes, as a zip has it
	stored      uint32 // bytes in the file
	size        uint32 // bytes unpacked
	offset      int64  // of the local header

	// Of a block: its first and last position, and the least and the greatest
	// time of its events. Of a keyframe: its position twice, and no times.
	first, last events.Seq
	from, to    int64         // nanoseconds since 1970
	chain       chain.Sum     // after the last position
	sum         [sumSize]byte // SHA-256 of the local header without it, and of the bytes in the file
}

const sumSize = sha256.Size

// Compression is how the bytes of an entry are packed, as the number that zip
// files have for it.
type Compression uint16

// The compressions of a recording. Zstd is the fast one; Deflate is what
// every language has at hand.
const (
	Stored  Compression = 0
	Deflate Compression = 8
	Zstd    Compression = 93
)

// Compressions are those that a writer can be asked for, by name.
var Compressions = map[string]Compression{"zstd": Zstd, "deflate": Deflate}

// Extra fields of an entry: ours, and the one that zip64 has for offsets.
const (
	extraID   = 0x4352 // "RC"
	extraSize = 4 + 4*8 + len(chain.Sum{}) + sumSize
	zip64ID   = 1
)

// Signatures and sizes of what a zip consists of.
const (
	localSignature     = 0x04034b50
	directorySignature = 0x02014b50
	endSignature       = 0x06054b50
	end64Signature     = 0x06064b50
	locatorSignature   = 0x07064b50

	localSize     = 30
	directorySize = 46
	endSize       = 22
	end64Size     = 56
	locatorSize   = 20

	maxName = 100
	// All entries have this date, the first that a zip can have: the same log
	// gives the same bytes.
	epochDate = 1<<5 | 1
)

// needs is the version of zip that an entry asks its readers for.
func (e *entry) needs() uint16 {
	if e.compression == Zstd {
		return 63
	}
	return 20
}

// header returns the local header of an entry but for its sum at the end.
func (e *entry) header() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, localSize+len(e.name)+extraSize)
	b = le.AppendUint32(b, localSignature)
	b = e.common(b)
	b = le.AppendUint16(b, uint16(extraSize))
	b = append(b, e.name...)
	return e.extra(b)
}

// common appends what the local header and the directory both have.
func (e *entry) common(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint16(b, e.needs())
	b = le.AppendUint16(b, 0) // flags
	b = le.AppendUint16(b, uint16(e.compression))
	b = le.AppendUint16(b, 0) // time
	b = le.AppendUint16(b, epochDate)
	b = le.AppendUint32(b, e.crc)
	b = le.AppendUint32(b, e.stored)
	b = le.AppendUint32(b, e.size)
	return le.AppendUint16(b, uint16(len(e.name)))
}

// extra appends the field of our own but for the sum, which is its end.
func (e *entry) extra(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint16(b, extraID)
	b = le.AppendUint16(b, uint16(extraSize-4))
	b = le.AppendUint64(b, uint64(e.first))
	b = le.AppendUint64(b, uint64(e.last))
	b = le.AppendUint64(b, uint64(e.from))
	b = le.AppendUint64(b, uint64(e.to))
	return append(b, e.chain[:]...)
}

// sumOf returns the sum over a header and what follows it.
func sumOf(header, stored []byte) (sum [sumSize]byte) {
	h := sha256.New()
	h.Write(header)
	h.Write(stored)
	h.Sum(sum[:0])
	return sum
}

// begin and end are where the bytes of an entry are in the file.
func (e *entry) begin() int64 { return e.offset + int64(localSize+len(e.name)+extraSize) }
func (e *entry) end() int64   { return e.begin() + int64(e.stored) }

// keyframeName is the form of a keyframe's name.
var keyframeName = regexp.MustCompile(`^keyframes/[0-9]{20}\.([a-z][a-z0-9-]{0,31})\.(0|[1-9][0-9]{0,8})$`)

func blockName(first events.Seq) string { return fmt.Sprintf("%s%020d", blockPrefix, first) }

func nanos(t time.Time) int64 { return t.UnixNano() }

func clock(ns int64) time.Time { return time.Unix(0, ns).UTC() }
