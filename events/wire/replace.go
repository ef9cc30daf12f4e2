package wire

import (
	"fmt"
	"iter"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// Text returns the string under a key of the map b; nil: it has none.
func Text(b []byte, key string) []byte {
	v := Field(b, key)
	if len(v) == 0 {
		return nil
	}
	c := NewCursor(v)
	return c.Str()
}

// Field returns the bytes of the value of a key of the map b; nil: it has none.
func Field(b []byte, key string) []byte {
	if !IsMap(b) {
		return nil
	}
	c := NewCursor(b)
	for range c.Map() {
		here := string(c.Str()) == key
		v := c.Value()
		if c.err != nil || here {
			return v
		}
	}
	return nil
}

// True reports whether the value of a key of the map b is true.
func True(b []byte, key string) bool {
	v := Field(b, key)
	return len(v) == 1 && v[0] == trueByte
}

// Items yields the bytes of each element of the array b; of what is none, nothing.
func Items(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(b) == 0 || kinds[b[0]] != kindArray {
			return
		}
		c := NewCursor(b)
		for range c.Array() {
			if !yield(c.Value()) {
				return
			}
		}
	}
}

// With returns a copy of the map b with a value under a key: instead of the one
// that it has there, or in the order of the keys. All else is the same to the byte.
func With(b []byte, key string, value []byte) ([]byte, error) {
	c := NewCursor(b)
	n := c.Map()
	first, at := c.off, 0 // at: where the key belongs; 0: behind all others
	for range n {
		from := c.off
		k := string(c.Str())
		old := c.off
		c.Skip()
		switch {
		case c.err != nil:
		case k == key:
			return slices.Concat(b[:old], value, b[c.off:]), nil
		case k > key && at == 0:
			at = from
		}
	}
	if c.err != nil {
		return nil, fmt.Errorf("msgpack: put %s into a map: %w", key, c.err)
	}
	if at == 0 {
		at = c.off
	}
	head, err := encode(0, func(e *msgpack.Encoder) error { return e.EncodeMapLen(n + 1) })
	if err != nil {
		return nil, err
	}
	name, err := Marshal(key)
	return slices.Concat(head, b[first:at], name, value, b[at:]), err
}
