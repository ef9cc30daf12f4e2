package blocks

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/minio/highwayhash"

	"rollcall/events"
)

// A record is, little endian: its length with a flag for headers (4 bytes), the
// sequence with two flags (8), the time in nanoseconds (8), the length of the
// subject (2), the subject, [the length of the headers (4), the headers], the
// message, and a checksum (8). The checksum does not cover the lengths.
const (
	headerSize   = 22
	checksumSize = 8
	leastRecord  = headerSize + checksumSize

	withHeaders = 1 << 31
	erased      = 1 << 63
	tombstone   = 1 << 62
)

// Every block of headers begins and ends so.
var (
	headersBegin = []byte("NATS/1.0\r\n")
	headersEnd   = []byte("\r\n\r\n")
)

// record is one record. Its slices are those of the block that it is in.
type record struct {
	seq      events.Seq
	flags    uint64 // erased, tombstone
	time     int64
	subject  []byte
	body     []byte
	size     int
	checksum []byte
	ready    *events.Event // nil: it is not decoded
}

func (r *record) stored() time.Time { return time.Unix(0, r.time).UTC() }

// event returns the event with bytes of its own.
func (r *record) event() events.Event {
	if r.ready != nil {
		return *r.ready
	}
	e := events.Decode(bytes.Clone(r.body))
	e.Seq, e.Stored, e.Subject = r.seq, r.stored(), string(r.subject)
	return e
}

// hasher computes the checksums of one block.
type hasher struct {
	digest *highwayhash.Digest64
	sum    [checksumSize]byte
}

// newHasher returns the hasher of a block; the key of 32 bytes is the SHA-256 of
// the stream's name, or of the name and the block's number.
func newHasher(of string) *hasher {
	key := sha256.Sum256([]byte(of))
	d, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		panic(err) // the key has the length that it must have
	}
	return &hasher{digest: d}
}

func (h *hasher) of(parts ...[]byte) []byte {
	h.digest.Reset()
	for _, p := range parts {
		h.digest.Write(p)
	}
	return h.digest.Sum(h.sum[:0])
}

// lengths are those of a record at the beginning of b, if they can be.
type lengths struct {
	size, subject int
	headers       bool
}

// measure reads the lengths of the record at the beginning of b. why says what
// cannot be; size is set where the header is whole.
func measure(b []byte) (l lengths, why string) {
	if len(b) < headerSize {
		return l, "the header of a record is cut"
	}
	n := binary.LittleEndian.Uint32(b)
	l.headers = n&withHeaders != 0
	l.size = int(n &^ withHeaders)
	l.subject = int(binary.LittleEndian.Uint16(b[20:]))
	least := leastRecord + l.subject
	if l.headers {
		least += 4
	}
	if l.size < least {
		return l, fmt.Sprintf("a length of %d bytes is less than its parts have", l.size)
	}
	if l.size > len(b) {
		return l, fmt.Sprintf("a length of %d bytes goes past the end of the block", l.size)
	}
	return l, ""
}

// parse reads the record at the beginning of b into r. why says what is wrong
// with it.
func (h *hasher) parse(b []byte, r *record) (l lengths, why string) {
	l, why = measure(b)
	if why != "" {
		return l, why
	}
	why = h.parseAs(b, l, r)
	return l, why
}

// parseAs is parse where the lengths are known.
func (h *hasher) parseAs(b []byte, l lengths, r *record) (why string) {
	if why := h.verify(b, l, r); why != "" {
		return why
	}
	return r.divide(b, l)
}

// divide finds headers and message in a record that its checksum proves.
func (r *record) divide(b []byte, l lengths) (why string) {
	if r.flags != 0 {
		return ""
	}
	if l.headers {
		if why := r.cutHeaders(b, l); why != "" {
			return why
		}
	}
	return checkSubject(r.subject, r.body, l.headers)
}

// cutHeaders takes the headers off the body of a record that has some.
func (r *record) cutHeaders(b []byte, l lengths) (why string) {
	size := binary.LittleEndian.Uint32(b[headerSize+l.subject:])
	if why = checkHeaders(r.body, size); why == "" {
		r.body = r.body[size:]
	}
	return why
}

// verify holds a record against its checksum. Its body begins with the headers,
// whose length it leaves out.
func (h *hasher) verify(b []byte, l lengths, r *record) (why string) {
	subject, rest := r.cut(b, l)
	if !bytes.Equal(h.of(b[4:20], subject, rest), r.checksum) {
		return "its checksum is another"
	}
	return ""
}

// cut takes the parts of a record, whose checksum says whether they are so.
func (r *record) cut(b []byte, l lengths) (subject, rest []byte) {
	end := l.size - checksumSize
	subject, rest = b[headerSize:headerSize+l.subject], b[headerSize+l.subject:end]
	if l.headers {
		rest = rest[4:]
	}
	seq := binary.LittleEndian.Uint64(b[4:])
	r.flags = seq & (erased | tombstone)
	r.seq = events.Seq(seq &^ (erased | tombstone))
	r.time = int64(binary.LittleEndian.Uint64(b[12:]))
	r.checksum, r.subject, r.body, r.size, r.ready = b[end:l.size], subject, rest, l.size, nil
	return subject, rest
}

// checkHeaders checks the one length that nothing else proves: where the
// headers end. They end with the first empty line.
func checkHeaders(rest []byte, size uint32) (why string) {
	end := bytes.Index(rest, headersEnd)
	switch {
	case uint64(size) > uint64(len(rest)):
		return fmt.Sprintf("headers of %d bytes are longer than the record", size)
	case !bytes.HasPrefix(rest, headersBegin):
		return "its headers do not begin as headers do"
	case end < 0 || end+len(headersEnd) != int(size):
		return fmt.Sprintf("its headers do not end after %d bytes", size)
	}
	return ""
}

// checkSubject checks the length of the subject where no headers follow it to
// prove it: no subject has a byte like those that a msgpack map begins with.
func checkSubject(subject, body []byte, headers bool) (why string) {
	for _, c := range subject {
		if !printable(c) {
			return "its subject is none"
		}
	}
	if len(subject) == 0 {
		return "it has no subject"
	}
	if !headers && len(body) > 0 && printable(body[0]) {
		return "nothing proves where its subject ends"
	}
	return ""
}

func printable(c byte) bool { return c > ' ' && c < 0x7f }
