package wire

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Limits bound bytes that did not come from our own log.
type Limits struct {
	Depth int // maps and arrays inside each other
	Bytes int
}

// DefaultLimits take what real objects are with room to spare: a Pod with
// managedFields is 12 deep, a DaemonSet with those 14, with affinity 13; an
// envelope adds 1. A node with 200 images and long annotations has 130 KB.
var DefaultLimits = Limits{Depth: 32, Bytes: 256 << 10}

// Check returns an error, with the byte where it is, unless b is exactly one
// well-formed msgpack value within l that JSON can hold too: map keys are
// strings, none twice in a map; strings are UTF-8; floats are finite; there
// are no extension types. It believes no declared length: what it allocates
// depends on the keys that are there.
//
// What passes is safe for every reader of this package.
func Check(b []byte, l Limits) error {
	if len(b) > l.Bytes {
		return fmt.Errorf("msgpack: %d bytes are more than the limit of %d", len(b), l.Bytes)
	}
	var few [64]span // most maps: no allocation
	c := checker{Cursor: NewCursor(b), keys: few[:0]}
	c.value(l.Depth)
	if c.err == nil && c.off < len(b) {
		c.fail("another value follows")
	}
	return c.err
}

// span is where a key is in the input.
type span struct{ from, to int }

type checker struct {
	Cursor
	keys []span // of the maps that are open
}

func (c *checker) value(depth int) {
	at := c.off
	switch x := c.peek(); kinds[x] {
	case kindBad:
		c.fail(fmt.Sprintf("byte 0x%02x begins nothing that is allowed", x))
	case kindFloat:
		if f := c.float(); math.IsNaN(f) || math.IsInf(f, 0) {
			c.failAt(at, "number is not finite")
		}
	case kindStr:
		c.str()
	case kindArray:
		if !c.enter(depth) {
			return
		}
		for n := c.Array(); n > 0 && c.err == nil; n-- {
			c.value(depth - 1)
		}
	case kindMap:
		if c.enter(depth) {
			c.object(depth - 1)
		}
	default:
		c.Skip()
	}
}

func (c *checker) enter(depth int) bool {
	if depth <= 0 {
		c.fail("nested deeper than the limit")
	}
	return c.err == nil
}

func (c *checker) str() {
	at := c.off
	if s := c.Str(); !utf8.Valid(s) {
		c.failAt(at, "string is not UTF-8")
	}
}

// object checks a map. Sorted keys, as Marshal writes them, are known to
// differ by looking at each once.
func (c *checker) object(depth int) {
	base, sorted := len(c.keys), true
	for n := c.Map(); n > 0 && c.err == nil; n-- {
		if c.off < len(c.b) && !isStr(c.peek()) {
			c.fail("map key is not a string")
			return
		}
		from := c.off
		s := c.Str()
		if !utf8.Valid(s) {
			c.failAt(from, "string is not UTF-8")
		}
		if c.err != nil {
			return
		}
		k := span{c.off - len(s), c.off}
		if len(c.keys) > base && bytes.Compare(c.key(c.keys[len(c.keys)-1]), s) >= 0 {
			sorted = false
		}
		c.keys = append(c.keys, k)
		c.value(depth)
	}
	if c.err == nil && !sorted {
		c.unique(c.keys[base:])
	}
	c.keys = c.keys[:base]
}

func (c *checker) key(s span) []byte { return c.b[s.from:s.to] }

func (c *checker) unique(keys []span) {
	slices.SortFunc(keys, func(x, y span) int { return bytes.Compare(c.key(x), c.key(y)) })
	for i := 1; i < len(keys); i++ {
		if bytes.Equal(c.key(keys[i-1]), c.key(keys[i])) {
			c.failAt(max(keys[i-1].from, keys[i].from), "map key is there twice")
			return
		}
	}
}

// failAt fails at a byte before the present one.
func (c *checker) failAt(off int, why string) {
	if c.err == nil {
		c.off = off
		c.fail(why)
	}
}
