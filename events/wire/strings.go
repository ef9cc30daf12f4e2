package wire

import (
	"strconv"
	"strings"
)

// PathStep is a key of a map or, if that is nil, an index of an array.
type PathStep struct {
	Key   []byte
	Index int
}

// Path is the way to a value inside another.
type Path []PathStep

// String writes a path with dots between keys; keys that are no plain words, and
// indexes, stand in brackets.
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch {
		case s.Key == nil:
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		case strings.ContainsAny(string(s.Key), "./:[] "):
			b.WriteString("[" + string(s.Key) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.Write(s.Key)
		}
	}
	return b.String()
}

// maxPathDepth bounds how deep EachString looks: deeper than any object.
const maxPathDepth = 100

// EachString visits every string in a value, the keys of its maps among them, in
// their order, until visit returns false. The path is that of the string, and good
// during the call; the path of a key ends with the key. What is not msgpack, and
// what is deeper than any object, is not visited.
func EachString(b []byte, visit func(p Path, s []byte) bool) {
	w := walk{Cursor: NewCursor(b), visit: visit, on: true}
	w.value()
}

type walk struct {
	Cursor
	path  Path
	visit func(Path, []byte) bool
	on    bool
}

func (w *walk) value() {
	x := w.peek()
	switch {
	case w.err != nil || !w.on:
	case isStr(x):
		if s := w.Str(); w.err == nil {
			w.on = w.visit(w.path, s)
		}
	case kinds[x] == kindMap && len(w.path) < maxPathDepth:
		for n := w.Map(); n > 0 && w.err == nil && w.on; n-- {
			key := w.Str()
			if w.err != nil {
				return
			}
			w.path = append(w.path, PathStep{Key: key})
			if w.on = w.visit(w.path, key); w.on {
				w.value()
			}
			w.path = w.path[:len(w.path)-1]
		}
	case kinds[x] == kindArray && len(w.path) < maxPathDepth:
		for i := range w.Array() {
			if w.err != nil || !w.on {
				return
			}
			w.path = append(w.path, PathStep{Index: i})
			w.value()
			w.path = w.path[:len(w.path)-1]
		}
	default:
		w.Skip()
	}
}
