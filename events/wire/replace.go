package wire

import (
	"fmt"
	"slices"
)

// Field returns the bytes of the value of a key of the map b; nil: it has none.
func Field(b []byte, key string) []byte {
	from, to := find(b, key)
	return b[from:to:to]
}

// Text returns the string under a key of the map b; nil: it has none.
func Text(b []byte, key string) []byte {
	c := NewCursor(Field(b, key))
	return c.Str()
}

// Replace returns a copy of the map b with another value under a key that it
// has. All else is the same to the byte.
func Replace(b []byte, key string, value []byte) ([]byte, error) {
	from, to := find(b, key)
	if from == to {
		return nil, fmt.Errorf("msgpack: no %s to replace", key)
	}
	return slices.Concat(b[:from], value, b[to:]), nil
}

// find returns where the value of a key begins and ends; the same twice: nowhere.
func find(b []byte, key string) (from, to int) {
	c := NewCursor(b)
	for range c.Map() {
		here := string(c.Str()) == key
		from = c.off
		c.Skip()
		if c.err != nil {
			break
		}
		if here {
			return from, c.off
		}
	}
	return 0, 0
}
