package blocks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/minio/highwayhash"

	"rollcall/events"
)

const testStream = "ROLLCALL_test"

// entry is a record to be written.
type entry struct {
	seq     uint64
	subject string
	headers string
	body    string
}

func fact(seq uint64) entry {
	return entry{seq: seq, subject: "rollcall.test.node._.n" + fmt.Sprint(seq), headers: "NATS/1.0\r\nNats-Msg-Id: x\r\n\r\n", body: "\x81body of " + fmt.Sprint(seq)}
}

// encode writes records as the server does.
func encode(index int, es ...entry) (b []byte) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", testStream, index))
	for _, e := range es {
		at := len(b)
		size := leastRecord + len(e.subject) + len(e.body)
		n := uint32(size)
		if e.headers != "" {
			n = uint32(size+4+len(e.headers)) | withHeaders
		}
		b = binary.LittleEndian.AppendUint32(b, n)
		b = binary.LittleEndian.AppendUint64(b, e.seq)
		b = binary.LittleEndian.AppendUint64(b, 1_700_000_000_000_000_000+e.seq)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(e.subject)))
		h, err := highwayhash.NewDigest64(key[:])
		if err != nil {
			panic(err)
		}
		h.Write(b[at+4 : at+20])
		b = append(b, e.subject...)
		if e.headers != "" {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(e.headers)))
		}
		b = append(append(b, e.headers...), e.body...)
		h.Write([]byte(e.subject + e.headers + e.body))
		b = h.Sum(b)
	}
	return b
}

// storeOf is a store whose blocks have these bytes, without an index.
func storeOf(tb testing.TB, blocks ...[]byte) *Store {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.Mkdir(filepath.Join(dir, messages), 0o700); err != nil {
		tb.Fatal(err)
	}
	for i, b := range blocks {
		if err := os.WriteFile(filepath.Join(dir, messages, fmt.Sprintf("%d.blk", i+1)), b, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	s, err := open(dir, testStream, false)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func facts(from, to uint64) (es []entry) {
	for seq := from; seq <= to; seq++ {
		es = append(es, fact(seq))
	}
	return es
}

// damage is what blocks are like, and what is to be said of them.
type damage struct {
	blocks  [][]byte
	relaxed bool
	code    string // "": it is read
	last    events.Seq
	torn    bool
	has     string
}

func (c damage) test(t *testing.T) {
	s := storeOf(t, c.blocks...)
	s.Relaxed = c.relaxed
	rep, err := s.Check(t.Context(), nil)
	if c.code != "" {
		var e *events.Error
		if !errors.As(err, &e) || e.Code != c.code || e.Do == "" || e.Where == "" || !bytes.Contains([]byte(e.Error()), []byte(c.has)) {
			t.Fatalf("%v, want %s with %q", err, c.code, c.has)
		}
		return
	}
	if err != nil || rep.Last != c.last || (rep.Torn != nil) != c.torn {
		t.Fatalf("%+v, %v; want #%d, torn %v", rep, err, c.last, c.torn)
	}
	if c.torn && (rep.Torn.Position != c.last+1 || rep.Torn.Offset+rep.Torn.Bytes != int64(len(c.blocks[0]))) {
		t.Errorf("torn: %v", rep.Torn)
	}
}

// damagedBytes are blocks of which bits, bytes or an end are not as written.
func damagedBytes() map[string]damage {
	whole := encode(1, facts(1, 6)...)
	one := len(whole) / 6
	flip := func(at int, bit byte) []byte {
		b := bytes.Clone(whole)
		b[at] ^= bit
		return b
	}
	last := 5 * one
	bare := fact(4)
	bare.headers = ""
	return map[string]damage{
		"whole":                         {blocks: [][]byte{whole}, last: 6},
		"no blocks":                     {},
		"an empty block at the end":     {blocks: [][]byte{whole, nil}, last: 6},
		"two blocks":                    {blocks: [][]byte{encode(1, facts(1, 3)...), encode(2, facts(4, 6)...)}, last: 6},
		"a bit in a body":               {blocks: [][]byte{flip(one-10, 1)}, code: "E-LOG-DAMAGED", has: "the event of position 1 is lost, the log goes on at 2"},
		"a bit in a time":               {blocks: [][]byte{flip(13, 1)}, code: "E-LOG-DAMAGED", has: "position 1"},
		"a bit in a position":           {blocks: [][]byte{flip(one+10, 1)}, code: "E-LOG-DAMAGED", has: fmt.Sprintf("offset %d", one)},
		"a bit in a checksum":           {blocks: [][]byte{flip(one-1, 1)}, code: "E-LOG-DAMAGED"},
		"a small bit in a length":       {blocks: [][]byte{flip(2*one, 1)}, code: "E-LOG-DAMAGED", has: "position 3"},
		"a great bit in a length":       {blocks: [][]byte{flip(2*one+2, 64)}, code: "E-LOG-DAMAGED", has: "goes past the end"},
		"the flag for headers":          {blocks: [][]byte{flip(2*one+3, 128)}, code: "E-LOG-DAMAGED"},
		"the length of a subject":       {blocks: [][]byte{flip(20, 1)}, code: "E-LOG-DAMAGED"},
		"that of a bare one":            {blocks: [][]byte{shorterSubject(with(bare), 3*one)}, code: "E-LOG-DAMAGED", has: "where its subject ends"},
		"the length of headers":         {blocks: [][]byte{flip(headerSize+len(fact(1).subject), 1)}, code: "E-LOG-DAMAGED", has: "headers do not end"},
		"the last body":                 {blocks: [][]byte{flip(last+40, 1)}, code: "E-LOG-DAMAGED", has: "position 6"},
		"the last length":               {blocks: [][]byte{flip(last+2, 1)}, code: "E-LOG-DAMAGED", has: "position 6"},
		"the last flag":                 {blocks: [][]byte{flip(last+3, 128)}, code: "E-LOG-DAMAGED", has: "position 6"},
		"cut in a record":               {blocks: [][]byte{whole[:last+50]}, last: 5, torn: true},
		"cut in a header":               {blocks: [][]byte{whole[:last+5]}, last: 5, torn: true},
		"cut with the next block there": {blocks: [][]byte{encode(1, facts(1, 3)...)[:one+30], encode(2, facts(4, 6)...)}, code: "E-LOG-DAMAGED", has: "position 2"},
		"cut in another's record":       {blocks: [][]byte{append(encode(1, facts(1, 3)...), whole[last:last+50]...)}, code: "E-LOG-DAMAGED", has: "position 4"},
		"a length over what follows":    {blocks: [][]byte{flip(one+2, 1)}, code: "E-LOG-DAMAGED", has: "the log goes on at 3"},
		"zeros at the end":              {blocks: [][]byte{append(encode(1, facts(1, 3)...), make([]byte, 3000)...)}, code: "E-LOG-DAMAGED", has: "position 4"},
		"zeros after a power cut":       {blocks: [][]byte{append(encode(1, facts(1, 3)...), make([]byte, 3000)...)}, relaxed: true, last: 3, torn: true},
		"zeroed from a sector on":       {blocks: [][]byte{zeroFrom(encode(1, facts(1, 40)...), sector)}, relaxed: true, last: 5, torn: true},
		"zeroed within":                 {blocks: [][]byte{zeroWithin(encode(1, facts(1, 40)...))}, relaxed: true, code: "E-LOG-DAMAGED"},
		"a bit, with zeros allowed":     {blocks: [][]byte{flip(last+40, 1)}, relaxed: true, code: "E-LOG-DAMAGED"},
		"a bad compressed block":        {blocks: [][]byte{[]byte("cmp\x01\x40 nothing that could be unpacked, whatever comes")}, code: "E-LOG-DAMAGED", has: "decompressed"},
		"a bomb":                        {blocks: [][]byte{[]byte("cmp\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f enough for a checksum")}, code: "E-LOG-DAMAGED"},
	}
}

// damagedOrder are blocks of whole records that do not follow each other, or are
// not what a record can be.
func damagedOrder() map[string]damage {
	headless := fact(4)
	headless.headers = ""
	ambiguous := headless
	ambiguous.body = "body"
	badHeaders := fact(4)
	badHeaders.headers = "NATS/1.0\r\nA: b\r\n\r\nrest"
	unsubject := fact(4)
	unsubject.subject = "a b"
	return map[string]damage{
		"without headers":               {blocks: [][]byte{with(headless)}, last: 4},
		"the first block is gone":       {blocks: [][]byte{nil, encode(2, facts(4, 6)...)}, code: "E-LOG-GAP", has: "positions 1 to 3"},
		"a block in between":            {blocks: [][]byte{encode(1, facts(1, 2)...), nil, encode(3, facts(5, 6)...)}, code: "E-LOG-GAP", has: "positions 3 to 4"},
		"a position is left out":        {blocks: [][]byte{with(fact(5))}, code: "E-LOG-GAP", has: "position 4 is missing"},
		"a position twice":              {blocks: [][]byte{with(fact(3))}, code: "E-LOG-DAMAGED", has: "stands twice"},
		"a position far away":           {blocks: [][]byte{with(fact(1 << 48))}, code: "E-LOG-GAP"},
		"a deletion":                    {blocks: [][]byte{with(entry{seq: 2 | tombstone})}, code: "E-LOG-GAP", has: "position 2"},
		"a deletion of what is to come": {blocks: [][]byte{with(entry{seq: 9 | tombstone})}, code: "E-LOG-GAP", has: "position 4"},
		"an erased record":              {blocks: [][]byte{with(entry{seq: 4 | erased})}, code: "E-LOG-GAP", has: "position 4"},
		"a block of another number":     {blocks: [][]byte{encode(2, facts(1, 3)...)}, code: "E-LOG-DAMAGED"},
		"no subject can be so":          {blocks: [][]byte{with(unsubject)}, code: "E-LOG-DAMAGED", has: "subject"},
		"nothing says where it ends":    {blocks: [][]byte{with(ambiguous)}, code: "E-LOG-DAMAGED", has: "where its subject ends"},
		"headers that end before":       {blocks: [][]byte{with(badHeaders)}, code: "E-LOG-DAMAGED", has: "headers do not end"},
	}
}

// with are three events and what follows them.
func with(es ...entry) []byte { return encode(1, append(facts(1, 3), es...)...) }

// TestDamage holds each kind of damage against what is said of it. Every case
// has right checksums but where it is about them, so that each check is needed:
// TestPlants switches them off.
func TestDamage(t *testing.T) {
	for _, all := range []map[string]damage{damagedBytes(), damagedOrder()} {
		for name, c := range all {
			t.Run(name, c.test)
		}
	}
}

// shorterSubject takes a byte from the subject of the record at off.
func shorterSubject(b []byte, off int) []byte {
	b[off+20]--
	return b
}

func zeroFrom(b []byte, at int) []byte {
	clear(b[at:])
	return b
}

func zeroWithin(b []byte) []byte {
	clear(b[sector : 2*sector])
	return b
}

// TestFiles refuses what is no block, without a look into it.
func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		make func(path string) error
		code string
	}{
		"a number with a zero": {"msgs/01.blk", write("x"), "E-LOG-DAMAGED"},
		"no number":            {"msgs/x.blk", write("x"), "E-LOG-DAMAGED"},
		"number zero":          {"msgs/0.blk", write("x"), "E-LOG-DAMAGED"},
		"a directory":          {"msgs/2.blk", func(p string) error { return os.Mkdir(p, 0o700) }, "E-LOG-DAMAGED"},
		"a huge one":           {"msgs/2.blk", func(p string) error { return errors.Join(write("")(p), os.Truncate(p, 1<<40)) }, "E-LOG-DAMAGED"},
		"a link to nothing":    {"msgs/2.blk", func(p string) error { return os.Symlink("nothing", p) }, "E-LOG-DAMAGED"},
		"a key":                {"msgs/1.key", write("x"), "E-LOG-ENCRYPTED"},
		"the key of a stream":  {"meta.key", write("x"), "E-LOG-ENCRYPTED"},
		"an old index":         {"msgs/1.idx", write("x"), "E-LOG-DAMAGED"},
		"half a purge":         {"__new_msgs__", func(p string) error { return os.Mkdir(p, 0o700) }, "E-LOG-DAMAGED"},
		"a file of tomorrow":   {"msgs/what.db", write("x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := storeOf(t, encode(1, facts(1, 3)...))
			if err := c.make(filepath.Join(s.dir, c.path)); err != nil {
				t.Fatal(err)
			}
			s, err := open(s.dir, testStream, false)
			if err == nil {
				_, err = s.Check(t.Context(), nil)
			}
			var e *events.Error
			if c.code == "" && err != nil || c.code != "" && (!errors.As(err, &e) || e.Code != c.code) {
				t.Errorf("%v, want %q", err, c.code)
			}
		})
	}
}

func write(text string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
}

// TestSearchIsBounded: hostile bytes must not
// make the search for records quadratic.
func TestSearchIsBounded(t *testing.T) {
	one := encode(1, fact(1))
	var b []byte
	for len(b) < 4<<20 {
		b = append(b, one...)
		binary.LittleEndian.PutUint32(b[len(b)-len(one):], 3<<20) // each says that it is long, and is none
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := storeOf(t, b).Check(ctx, nil)
	var e *events.Error
	if !errors.As(err, &e) || e.Code != "E-LOG-DAMAGED" {
		t.Errorf("%v", err)
	}
}

// FuzzBlock reads any bytes as a block: it ends, in no more memory than the
// bytes take, and what it reads are records in their order.
func FuzzBlock(f *testing.F) {
	whole := encode(1, facts(1, 4)...)
	for _, b := range [][]byte{nil, whole, whole[:len(whole)-3], slices.Concat(compressed, []byte{0x80, 1}, whole), encode(1, entry{seq: 1 | tombstone}), make([]byte, 600)} {
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, relaxed bool) {
		s := storeOf(t, b)
		s.Relaxed = relaxed
		var at events.Seq
		rep, err := s.Check(t.Context(), func(seq events.Seq, raw []byte) error {
			if seq != at+1 || len(raw) > maxBlock {
				t.Errorf("#%d follows #%d", seq, at)
			}
			at = seq
			return nil
		})
		var e *events.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("an error without a code: %v", err)
		}
		if err == nil && rep.Last != at {
			t.Errorf("%d were read, %d are said", at, rep.Last)
		}
	})
}
