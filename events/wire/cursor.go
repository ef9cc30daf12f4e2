package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Cursor walks msgpack bytes without building values: the fold reads the few
// fields that decisions need and skips the rest. It never reads past its
// input and never allocates for a length that the input only declares. The
// first error sticks; later reads return zero values.
type Cursor struct {
	b   []byte
	off int
	err error
}

// NewCursor returns a cursor at the first byte of b.
func NewCursor(b []byte) Cursor { return Cursor{b: b} }

// Err returns the first error, or nil.
func (c *Cursor) Err() error { return c.err }

// More reports whether bytes are left and no error occurred.
func (c *Cursor) More() bool { return c.err == nil && c.off < len(c.b) }

func (c *Cursor) fail(why string) {
	if c.err == nil {
		c.err = &cursorError{why, c.off}
		c.off = len(c.b)
	}
}

// cursorError is put into words when somebody reads it: who only asks whether
// there is a field in nothing at all has one too.
type cursorError struct {
	why string
	at  int
}

func (e *cursorError) Error() string { return fmt.Sprintf("msgpack: %s at byte %d", e.why, e.at) }

// take returns the next n bytes.
func (c *Cursor) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n < 0 || n > len(c.b)-c.off {
		c.fail("unexpected end")
		return nil
	}
	s := c.b[c.off : c.off+n : c.off+n]
	c.off += n
	return s
}

func (c *Cursor) byte() byte {
	if c.err != nil {
		return nilByte
	}
	if c.off >= len(c.b) {
		c.fail("unexpected end")
		return nilByte
	}
	x := c.b[c.off]
	c.off++
	return x
}

// uint reads a big-endian number of n bytes.
func (c *Cursor) uint(n int) uint64 {
	s := c.take(n)
	if s == nil {
		return 0
	}
	switch n {
	case 1:
		return uint64(s[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(s))
	case 4:
		return uint64(binary.BigEndian.Uint32(s))
	}
	return binary.BigEndian.Uint64(s)
}

// size reads a declared length of n bytes. Each element takes at least min
// bytes, so a length that the input cannot hold is an error.
func (c *Cursor) size(n, min int) int {
	v := c.uint(n)
	if c.err == nil && v > uint64(len(c.b)-c.off)/uint64(min) {
		c.fail(fmt.Sprintf("declared length %d exceeds the %d bytes left", v, len(c.b)-c.off))
		return 0
	}
	return int(v)
}

const (
	nilByte  = 0xc0
	trueByte = 0xc3
)

// Nil consumes a nil if one is next and reports whether it did.
func (c *Cursor) Nil() bool {
	if c.err != nil || c.off >= len(c.b) || c.b[c.off] != nilByte {
		return false
	}
	c.off++
	return true
}

// Map enters a map and returns its number of pairs; nil counts as empty.
func (c *Cursor) Map() int {
	switch x := c.byte(); {
	case x&0xf0 == 0x80:
		return int(x & 0x0f)
	case x == 0xde:
		return c.size(2, 2)
	case x == 0xdf:
		return c.size(4, 2)
	case x == nilByte:
		return 0
	}
	c.off--
	c.fail("not a map")
	return 0
}

// Array enters an array and returns its number of elements; nil counts as empty.
func (c *Cursor) Array() int {
	switch x := c.byte(); {
	case x&0xf0 == 0x90:
		return int(x & 0x0f)
	case x == 0xdc:
		return c.size(2, 1)
	case x == 0xdd:
		return c.size(4, 1)
	case x == nilByte:
		return 0
	}
	c.off--
	c.fail("not an array")
	return 0
}

// Str reads a string or a binary; nil is empty. The bytes belong to the input.
func (c *Cursor) Str() []byte {
	// Almost every key is short. After an error off is at the end.
	if off := c.off + 1; off <= len(c.b) && c.b[off-1]&0xe0 == 0xa0 {
		if end := off + int(c.b[off-1]&0x1f); end <= len(c.b) {
			c.off = end
			return c.b[off:end:end]
		}
	}
	return c.longStr()
}

func (c *Cursor) longStr() []byte {
	switch x := c.byte(); {
	case x&0xe0 == 0xa0:
		return c.take(int(x & 0x1f))
	case x == 0xd9 || x == 0xc4:
		return c.take(c.size(1, 1))
	case x == 0xda || x == 0xc5:
		return c.take(c.size(2, 1))
	case x == 0xdb || x == 0xc6:
		return c.take(c.size(4, 1))
	case x == nilByte:
		return nil
	}
	c.off--
	c.fail("not a string")
	return nil
}

// Int reads an integer; nil is 0. A number that int64 cannot hold is an error.
func (c *Cursor) Int() int64 {
	switch x := c.byte(); {
	case x <= 0x7f:
		return int64(x)
	case x >= 0xe0:
		return int64(int8(x))
	case x == 0xcc:
		return int64(c.uint(1))
	case x == 0xcd:
		return int64(c.uint(2))
	case x == 0xce:
		return int64(c.uint(4))
	case x == 0xcf:
		v := c.uint(8)
		if v > math.MaxInt64 {
			c.fail("number out of range")
			return 0
		}
		return int64(v)
	case x == 0xd0:
		return int64(int8(c.uint(1)))
	case x == 0xd1:
		return int64(int16(c.uint(2)))
	case x == 0xd2:
		return int64(int32(c.uint(4)))
	case x == 0xd3:
		return int64(c.uint(8))
	case x == nilByte:
		return 0
	}
	c.off--
	c.fail("not an integer")
	return 0
}

// Bool reads a boolean; nil is false.
func (c *Cursor) Bool() bool {
	switch c.byte() {
	case 0xc3:
		return true
	case 0xc2, nilByte:
		return false
	}
	c.off--
	c.fail("not a boolean")
	return false
}

// Time reads a time in RFC 3339, as UTC; nil is the zero time.
func (c *Cursor) Time() time.Time {
	s := c.Str()
	if s == nil {
		return time.Time{}
	}
	var t time.Time
	if err := t.UnmarshalText(s); err != nil {
		c.fail(err.Error())
		return time.Time{}
	}
	return t.UTC()
}

// Rest returns what was not read yet, from the next value on. The bytes belong to
// the input.
func (c *Cursor) Rest() []byte { return c.b[c.off:] }

// Value skips the next value and returns its bytes, which belong to the input.
func (c *Cursor) Value() []byte {
	from := c.off
	c.Skip()
	if c.err != nil {
		return nil
	}
	return c.b[from:c.off:c.off]
}

// head is what a first byte says alone: how many bytes the value takes and
// how many values follow inside it. bytes is 0 where a length follows.
type head struct{ bytes, values uint8 }

var heads = func() (t [256]head) {
	for x := range t {
		t[x].bytes = 1
		switch {
		case x >= 0x80 && x <= 0x8f:
			t[x].values = 2 * uint8(x&0x0f)
		case x >= 0x90 && x <= 0x9f:
			t[x].values = uint8(x & 0x0f)
		case x >= 0xa0 && x <= 0xbf:
			t[x].bytes += uint8(x & 0x1f)
		case x >= 0xcc && x <= 0xcf:
			t[x].bytes += 1 << (x - 0xcc)
		case x >= 0xd0 && x <= 0xd3:
			t[x].bytes += 1 << (x - 0xd0)
		case x == 0xca || x == 0xcb:
			t[x].bytes += 4 << (x - 0xca)
		case x >= 0xd4 && x <= 0xd8:
			t[x].bytes += 1 + 1<<(x-0xd4)
		case x >= 0xc1 && x <= 0xdf && x != 0xc2 && x != 0xc3:
			t[x].bytes = 0
		}
	}
	return t
}()

// Skip passes over the next value, however deep, without recursion.
func (c *Cursor) Skip() {
	if c.err != nil {
		return
	}
	b, off := c.b, c.off
	for left := 1; left > 0; left-- {
		if off >= len(b) {
			c.off = len(b)
			c.fail("unexpected end")
			return
		}
		if h := heads[b[off]]; h.bytes != 0 {
			off += int(h.bytes)
			left += int(h.values)
			continue
		}
		if b[off] == 0xd9 && off+1 < len(b) { // a string of a few dozen bytes, as uids are
			off += 2 + int(b[off+1])
			continue
		}
		c.off = off + 1
		left += c.skipLong(b[off])
		off = c.off
	}
	if off > len(b) {
		c.off = len(b)
		c.fail("unexpected end")
		return
	}
	c.off = off
}

// skipLong passes over a value whose length follows its first byte, and
// returns how many values are inside it. At an error the cursor is at its end.
func (c *Cursor) skipLong(x byte) int {
	switch x {
	case 0xd9, 0xc4:
		c.take(c.size(1, 1))
	case 0xda, 0xc5:
		c.take(c.size(2, 1))
	case 0xdb, 0xc6:
		c.take(c.size(4, 1))
	case 0xdc:
		return c.size(2, 1)
	case 0xdd:
		return c.size(4, 1)
	case 0xde:
		return 2 * c.size(2, 2)
	case 0xdf:
		return 2 * c.size(4, 2)
	case 0xc7:
		c.take(1 + c.size(1, 1))
	case 0xc8:
		c.take(1 + c.size(2, 1))
	case 0xc9:
		c.take(1 + c.size(4, 1))
	default:
		c.off--
		c.fail(fmt.Sprintf("byte 0x%02x begins no value", x))
	}
	return 0
}
