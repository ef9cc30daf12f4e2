package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/story"
)

// FieldChange is a change of a field of an object, or of one below it, since the
// last fact about an object of that name. That an object goes changes no field.
type FieldChange struct {
	Path string  // "status.phase", "status.conditions[Ready].status"
	To   *string // the new value as text, "" if it went; nil: any

	keys []string // of the path, as if there were a dot in none
}

// NewFieldChange returns the change of a field.
func NewFieldChange(path string, to *string) *FieldChange {
	path = unquoted.Replace(path)
	return &FieldChange{path, to, strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) })}
}

// unquoted writes the keys in brackets of a path without the quotes that jsonpath
// has around them.
var unquoted = strings.NewReplacer("['", "[", "']", "]", `["`, "[", `"]`, "]")

// part is the part of an object that has a field in it: what is at the first few
// keys of its path. It is compared with that of the fact before, and only where
// they differ is asked what has changed.
type part struct {
	depth int
	value []byte // empty: there is none
}

// partOf returns the part of an object, which is the first value of b. A key may
// have dots in it, and an element of a list is found by what names it: there the
// part is all of the map, or of the list.
func (c *FieldChange) partOf(b []byte) part {
	for depth, key := range c.keys {
		next, dots := valueOf(b, key)
		switch {
		case next == nil && !dots:
			return part{}
		case next == nil || !wire.IsMap(next) && !wire.IsArray(next) && depth+1 < len(c.keys):
			return part{depth, firstOf(b)}
		}
		if b = next; wire.IsArray(b) {
			return part{depth + 1, firstOf(b)}
		}
	}
	return part{len(c.keys), firstOf(b)}
}

// valueOf returns the bytes of a map from the value of a key on. If it has no such
// key, dots tells whether it has one with a dot.
func valueOf(b []byte, key string) (rest []byte, dots bool) {
	c := wire.NewCursor(b)
	for range c.Map() {
		k := c.Str()
		if c.Err() != nil {
			break
		}
		if string(k) == key {
			return c.Rest(), false
		}
		dots = dots || bytes.IndexByte(k, '.') >= 0
		c.Skip()
	}
	return nil, dots
}

// firstOf returns the first value of b.
func firstOf(b []byte) []byte {
	c := wire.NewCursor(b)
	return c.Value()
}

// changed returns what an object has changed of the field that is looked for.
func (s *search) changed(f *fact, is part) []story.Field {
	if is.depth == f.field.depth && bytes.Equal(is.value, f.field.value) || f.of != secret && s.Field.isOther(is) {
		return nil
	}
	was, now := s.Field.object(f.field), s.Field.object(is)
	if f.of == secret {
		was.Kind, now.Kind = events.Secret, events.Secret
	}
	return slices.DeleteFunc(story.FieldsIn(was, now, s.Field.Path), func(x story.Field) bool {
		return s.Field.To != nil && x.New != *s.Field.To
	})
}

// isOther reports whether a part is a string, and not the one that is looked for.
func (c *FieldChange) isOther(p part) bool {
	if c.To == nil || !wire.IsString(p.value) {
		return false
	}
	at := wire.NewCursor(p.value)
	return string(at.Str()) != *c.To
}

// object returns an object of which no more is there than a part.
func (c *FieldChange) object(p part) (o events.Object) {
	if len(p.value) == 0 {
		return o
	}
	o.Data = p.value
	for _, key := range slices.Backward(c.keys[:p.depth]) {
		data, err := wire.Marshal(map[string]wire.Raw{key: o.Data})
		if err != nil {
			panic(fmt.Sprintf("a map of msgpack: %v", err))
		}
		o.Data = data
	}
	return o
}
