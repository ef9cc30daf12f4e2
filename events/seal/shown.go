package seal

import (
	"encoding/hex"
	"maps"
	"slices"

	"rollcall/events"
	"rollcall/events/wire"
)

// NotShown stands for a value that is not sealed, where nobody is to read it.
const NotShown = "(not shown)"

// Shown returns what of a sealed value everybody may see.
func Shown(v []byte) (text string, sealed bool) {
	if visible(v) || keyOf(v) != "" {
		return string(v[:min(len(v), shown)]), true
	}
	return "", false
}

// Placeholder returns what looks like that which everybody may see of a sealed
// value, for one that is not sealed, of a keyed hash of it.
func Placeholder(hash []byte) string { return prefix + hex.EncodeToString(hash)[:hashDigits] }

// Holds reports whether an annotation of a Secret holds a whole Secret.
func Holds(annotation string) bool { return slices.Contains(manifests, annotation) }

// Hidden returns an object as everybody may see it: each value of a Secret is text,
// what of it everybody may see, or NotShown if it stands in clear. Of a Secret that
// cannot be read nothing is left. Objects of other kinds stay as they are.
func Hidden(o events.Object) events.Object {
	if o.Kind != events.Secret || o.Data == nil {
		return o
	}
	out, ok := rewrite(o.Data, func(v []byte, _ any) any {
		if text, sealed := Shown(v); sealed {
			return text
		}
		return NotShown
	})
	if !ok {
		out = emptyMap
	}
	o.Data = out
	return o
}

// HiddenEvent returns the bytes of an event with its object as Hidden has it.
func HiddenEvent(raw []byte) ([]byte, error) {
	if string(wire.Text(wire.Field(raw, "ref"), "kind")) != string(events.Secret) {
		return raw, nil
	}
	for _, of := range []string{"object", "gone"} {
		data := wire.Field(raw, of)
		if data == nil {
			continue
		}
		var err error
		if raw, err = wire.With(raw, of, Hidden(events.Object{Ref: events.Ref{Kind: events.Secret}, Data: data}).Data); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

var emptyMap = []byte{0x80} // of msgpack

// Mask returns the bytes of a Secret in which values that are sealed with other keys
// than the ring has are what of them everybody may see.
func (r *Ring) Mask(data []byte) []byte {
	out, ok := rewrite(data, func(v []byte, was any) any {
		id := keyOf(v)
		if id == "" || r.Has(id) {
			return was
		}
		text, _ := Shown(v)
		return like(was, text)
	})
	if !ok {
		return data
	}
	return out
}

// Found is what is found of values in an object.
type Found struct {
	Keys  []string // the names of the keys of those that are sealed, in order
	Clear int      // how many stand in clear
}

// Find looks for the values of an object. There are none but in a Secret.
func Find(o events.Object) (f Found) {
	if o.Kind != events.Secret {
		return f
	}
	rewrite(o.Data, func(v []byte, was any) any {
		_, sealed := Shown(v)
		switch id := keyOf(v); {
		case id != "":
			f.Keys = append(f.Keys, id)
		case !sealed && len(v) > 0:
			f.Clear++
		}
		return was
	})
	slices.Sort(f.Keys)
	f.Keys = slices.Compact(f.Keys)
	return f
}

// Replace puts a text in the place of each value of a Secret, as wire reads one into
// an any.
func Replace(o map[string]any, text func(value []byte) string) {
	each(o, func(v []byte, was any) any { return like(was, text(v)) })
}

// like returns a text as the kind of value that there was.
func like(was any, text string) any {
	if _, binary := was.([]byte); binary {
		return []byte(text)
	}
	return text
}

// rewrite returns the bytes of a Secret with other values; ok is false if they cannot
// be read.
func rewrite(data []byte, value func(v []byte, was any) any) (_ []byte, ok bool) {
	var o map[string]any
	if wire.Unmarshal(data, &o) != nil {
		return nil, false
	}
	each(o, value)
	out, err := wire.Marshal(o)
	return out, err == nil
}

// each replaces the values of a Secret, in the order of their keys. value is told a
// value as bytes, and as the wire has it.
func each(o map[string]any, value func(v []byte, was any) any) {
	for _, of := range []string{"data", "stringData"} {
		values, _ := o[of].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(values)) {
			replace(values, name, value)
		}
	}
	meta, _ := o["metadata"].(map[string]any)
	notes, _ := meta["annotations"].(map[string]any)
	for _, name := range manifests {
		replace(notes, name, value)
	}
}

func replace(values map[string]any, name string, value func(v []byte, was any) any) {
	switch v := values[name].(type) {
	case string:
		values[name] = value([]byte(v), v)
	case []byte:
		values[name] = value(v, v)
	}
}
