package wire

import (
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"
)

// kind is what a value is by its first byte.
type kind byte

const (
	kindBad kind = iota // 0xc1 and extension types
	kindNil
	kindBool
	kindInt
	kindUint64 // may exceed int64
	kindFloat
	kindStr
	kindBin
	kindArray
	kindMap
)

// kinds has the kind of each first byte.
var kinds = func() (t [256]kind) {
	for x := range t {
		switch {
		case x <= 0x7f || x >= 0xe0 || x >= 0xcc && x <= 0xce || x >= 0xd0 && x <= 0xd3:
			t[x] = kindInt
		case x <= 0x8f || x == 0xde || x == 0xdf:
			t[x] = kindMap
		case x <= 0x9f || x == 0xdc || x == 0xdd:
			t[x] = kindArray
		case x <= 0xbf || x >= 0xd9 && x <= 0xdb:
			t[x] = kindStr
		case x == nilByte:
			t[x] = kindNil
		case x == 0xc2 || x == 0xc3:
			t[x] = kindBool
		case x >= 0xc4 && x <= 0xc6:
			t[x] = kindBin
		case x == 0xca || x == 0xcb:
			t[x] = kindFloat
		case x == 0xcf:
			t[x] = kindUint64
		}
	}
	return t
}()

// IsMap reports whether b begins a map, as every object is one.
func IsMap(b []byte) bool { return len(b) > 0 && kinds[b[0]] == kindMap }

// IsArray reports whether b begins an array.
func IsArray(b []byte) bool { return len(b) > 0 && kinds[b[0]] == kindArray }

// IsString reports whether b begins a string.
func IsString(b []byte) bool { return len(b) > 0 && isStr(b[0]) }

func isStr(x byte) bool { return kinds[x] == kindStr }

// peek returns the next byte, or nilByte at the end, where every read fails.
func (c *Cursor) peek() byte {
	if c.err != nil || c.off >= len(c.b) {
		return nilByte
	}
	return c.b[c.off]
}

// unsigned reads an integer that is not negative.
func (c *Cursor) unsigned() uint64 {
	if c.peek() == 0xcf {
		c.off++
		return c.uint(8)
	}
	n := c.Int()
	if n < 0 {
		c.fail("number is negative")
		return 0
	}
	return uint64(n)
}

// float reads a float or an integer.
func (c *Cursor) float() float64 {
	switch c.peek() {
	case 0xca:
		c.off++
		return float64(math.Float32frombits(uint32(c.uint(4))))
	case 0xcb:
		c.off++
		return math.Float64frombits(c.uint(8))
	case 0xcf:
		return float64(c.unsigned())
	}
	return float64(c.Int())
}

// numberOrString reads a string, or a number as its text.
func (c *Cursor) numberOrString() string {
	switch kinds[c.peek()] {
	case kindInt:
		return strconv.FormatInt(c.Int(), 10)
	case kindUint64:
		return strconv.FormatUint(c.unsigned(), 10)
	case kindFloat:
		return strconv.FormatFloat(c.float(), 'g', -1, 64)
	}
	return string(c.Str())
}

func putInterface(e *msgpack.Encoder, v reflect.Value) error {
	if v.IsNil() {
		return e.EncodeNil()
	}
	x := v.Elem()
	return codecOf(x.Type()).put(e, x)
}

func takeNoInterface(d *decoder, v reflect.Value) {
	if !d.Nil() {
		d.fail(fmt.Sprintf("no way to know which %s this is", v.Type()))
	}
}

// takeAny reads a value without a type: nil, bool, int64 (uint64 if it must
// be), float64, string, []byte, []any or map[string]any.
func takeAny(d *decoder, v reflect.Value) {
	if x := d.any(maxDepth); x == nil {
		v.SetZero()
	} else {
		v.Set(reflect.ValueOf(x))
	}
}

// anyBytes is the size of an any; a string takes as much.
const anyBytes = 16

func (d *decoder) any(depth int) any {
	if depth == 0 {
		d.fail("nested too deep")
	}
	if d.err != nil || d.Nil() || !d.charge(1, anyBytes) {
		return nil
	}
	switch x := d.peek(); kinds[x] {
	case kindBool:
		return d.Bool()
	case kindInt:
		return d.Int()
	case kindUint64:
		n := d.unsigned()
		if n <= math.MaxInt64 {
			return int64(n)
		}
		return n
	case kindFloat:
		return d.float()
	case kindStr:
		return string(d.Str())
	case kindBin:
		return append([]byte{}, d.Str()...)
	case kindArray:
		n := d.Array()
		if !d.charge(n, anyBytes) {
			return nil
		}
		s := make([]any, n)
		for i := 0; i < n && d.err == nil; i++ {
			s[i] = d.any(depth - 1)
		}
		return s
	case kindMap:
		return d.anyMap(depth)
	default:
		d.Skip()
		d.fail(fmt.Sprintf("byte 0x%02x begins nothing that JSON has", x))
	}
	return nil
}

func (d *decoder) anyMap(depth int) any {
	n := d.Map()
	if !d.charge(mapEntries(n), 2*anyBytes) {
		return nil
	}
	m := make(map[string]any, n)
	for i := 0; i < n && d.err == nil; i++ {
		k := string(d.Str())
		m[k] = d.any(depth - 1)
	}
	return m
}
