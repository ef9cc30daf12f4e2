package story

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rollcall/events/wire"
)

// change is one difference of two objects: a leaf, or an element of a list
// that came or went. A list's elements are called by what names them.
type change struct {
	path     []string
	old, new []byte // msgpack; nil: not there
}

// in reports whether the path of c begins with these keys; "*" is any key.
func (c *change) in(keys ...string) bool {
	if len(c.path) < len(keys) {
		return false
	}
	for i, k := range keys {
		if k != "*" && k != c.path[i] {
			return false
		}
	}
	return true
}

// is reports whether these keys are the whole path of c.
func (c *change) is(keys ...string) bool { return len(c.path) == len(keys) && c.in(keys...) }

func (c *change) last() string { return c.path[len(c.path)-1] }

// diff returns how new differs from old, by path. Both are msgpack maps.
func diff(old, new []byte) []change {
	var d differ
	d.value(nil, old, new)
	return d.changes
}

type differ struct {
	changes []change
	into    []string // paths into elements, which are told by their fields where a path leads
}

// leads reports whether one of the paths goes on below this one.
func (d *differ) leads(path []string) bool {
	if len(d.into) == 0 {
		return false
	}
	here := plainPath(pathText(path)) + "."
	return slices.ContainsFunc(d.into, func(p string) bool { return strings.HasPrefix(plainPath(p), here) })
}

// maxDiffDepth is deeper than any Kubernetes kind; below, values are compared whole.
const maxDiffDepth = 40

func (d *differ) value(path []string, old, new []byte) {
	old, new = present(old), present(new)
	switch {
	case bytes.Equal(old, new):
	case len(path) > maxDiffDepth:
		d.emit(path, old, new)
	case (wire.IsMap(old) || old == nil) && (wire.IsMap(new) || new == nil):
		d.maps(path, old, new)
	case (wire.IsArray(old) || old == nil) && (wire.IsArray(new) || new == nil):
		d.lists(path, old, new)
	default:
		d.emit(path, old, new)
	}
}

func (d *differ) emit(path []string, old, new []byte) {
	d.changes = append(d.changes, change{path, old, new})
}

func (d *differ) maps(path []string, old, new []byte) {
	a, b := fields(old), fields(new)
	if len(a) == 0 && len(b) == 0 { // an empty map came or went
		d.emit(path, old, new)
		return
	}
	for _, k := range union(a, b) {
		d.value(under(path, k), a[k], b[k])
	}
}

// lists compares lists by what names their elements, where something does.
// Elements of a status that came or went are told field by field, as a status
// appears piece by piece; of anything else as one.
func (d *differ) lists(path []string, old, new []byte) {
	a, b := elements(old), elements(new)
	ids := identities
	if len(path) == 2 && path[1] == "finalizers" {
		ids = [][]string{nil} // strings, but each for itself
	} else if scalar(a) && scalar(b) && !d.leads(path) {
		d.emit(path, old, new)
		return
	}
	byName, names := named(a, b, ids...)
	if byName == nil {
		for i := range max(len(a), len(b)) {
			d.element(under(path, "["+strconv.Itoa(i)+"]"), at(a, i), at(b, i))
		}
		return
	}
	before := len(d.changes)
	for _, k := range names {
		d.element(under(path, k), byName[0][k], byName[1][k])
	}
	if len(d.changes) == before { // only their order differs
		d.emit(path, old, new)
	}
}

func (d *differ) element(path []string, old, new []byte) {
	if (old == nil || new == nil) && path[0] != "status" && !d.leads(path) {
		d.emit(path, old, new)
		return
	}
	d.value(path, old, new)
}

// identities are the fields that name an element of a list, best first.
var identities = [][]string{{"uid"}, {"type"}, {"name"}, {"key", "effect"}, {"mountPath"}, {"containerPort"}}

// named returns the elements of two lists by name and the names in order; nil
// if nothing names them all.
func named(a, b [][]byte, identities ...[]string) (byName *[2]map[string][]byte, names []string) {
	for _, id := range identities {
		m := [2]map[string][]byte{}
		ok := true
		for i, list := range [2][][]byte{a, b} {
			m[i] = map[string][]byte{}
			for _, v := range list {
				k := nameOf(v, id)
				_, twice := m[i][k]
				ok = ok && k != "" && !twice
				m[i][k] = v
			}
		}
		if ok {
			return &m, union(m[0], m[1])
		}
	}
	return nil, nil
}

// nameOf returns what the fields of id say, joined by ":"; for no fields a
// scalar itself. An effect may be missing, nothing else.
func nameOf(v []byte, id []string) string {
	if id == nil {
		if wire.IsMap(v) || wire.IsArray(v) {
			return ""
		}
		return text(v)
	}
	if !wire.IsMap(v) {
		return ""
	}
	f := fields(v)
	parts := make([]string, len(id))
	for i, k := range id {
		if parts[i] = text(f[k]); parts[i] == "" && k != "effect" {
			return ""
		}
	}
	return strings.Join(parts, ":")
}

// scalar reports whether a list holds neither maps nor lists.
func scalar(list [][]byte) bool {
	return !slices.ContainsFunc(list, func(v []byte) bool { return wire.IsMap(v) || wire.IsArray(v) })
}

func at(list [][]byte, i int) []byte {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// under returns path with one more key, sharing nothing that grows.
func under(path []string, k string) []string { return append(path[:len(path):len(path)], k) }

func union(a, b map[string][]byte) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// present returns nil for msgpack nil, and for nothing.
func present(v []byte) []byte {
	if len(v) == 0 || len(v) == 1 && v[0] == 0xc0 {
		return nil
	}
	return v
}

// fields returns the values of a map by key; of anything else none.
func fields(v []byte) map[string][]byte {
	if !wire.IsMap(v) {
		return nil
	}
	c := wire.NewCursor(v)
	n := c.Map()
	m := make(map[string][]byte, n)
	for ; n > 0 && c.Err() == nil; n-- {
		k := string(c.Str())
		if x := present(c.Value()); x != nil {
			m[k] = x
		}
	}
	return m
}

// elements returns the values of a list; of anything else none.
func elements(v []byte) [][]byte {
	if !wire.IsArray(v) {
		return nil
	}
	c := wire.NewCursor(v)
	n := c.Array()
	list := make([][]byte, 0, n)
	for ; n > 0 && c.Err() == nil; n-- {
		list = append(list, c.Value())
	}
	return list
}

// element returns the map of a list whose field has that text; nil: there is none.
func element(list []byte, field, is string) []byte {
	for _, v := range elements(list) {
		if text(find(v, field)) == is {
			return v
		}
	}
	return nil
}

// find returns the value at a path of map keys; nil: there is none.
func find(v []byte, path ...string) []byte {
	for _, k := range path {
		v = present(wire.Field(v, k))
	}
	return v
}

// text returns a value as a person writes it: strings without quotes, all
// else as JSON; empty for nothing.
func text(v []byte) string {
	if v = present(v); v == nil {
		return ""
	}
	j, err := wire.ToJSON(v)
	if err != nil {
		return "?"
	}
	if len(j) > 0 && j[0] == '"' {
		var s string
		if json.Unmarshal(j, &s) == nil {
			return s
		}
	}
	return string(j)
}

// maxValue bounds a value in the story; the whole is in the event.
const maxValue = 60

// short is text, bounded, and "" in quotes, to be seen.
func short(v []byte) string {
	s := text(v)
	if s == "" && v != nil {
		return `""`
	}
	return cut(OneLine(s), maxValue)
}

// pathText writes a path: keys that are no plain words stand in brackets.
func pathText(path []string) string {
	var b strings.Builder
	for _, k := range path {
		switch {
		case strings.HasPrefix(k, "["):
			b.WriteString(k)
		case strings.ContainsAny(k, "./:[] "):
			b.WriteString("[" + k + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(k)
		}
	}
	return b.String()
}

// arrow writes a change of a value: "name=v" if it came, "-name" if it went,
// "name v→w" otherwise.
func arrow(name string, c *change) string {
	switch {
	case c.old == nil:
		return name + "=" + short(c.new)
	case c.new == nil:
		return "-" + name
	}
	return name + " " + short(c.old) + "→" + short(c.new)
}
