package story

import (
	"rollcall/events/seal"
	"rollcall/events/wire"
)

// secret tells which keys of a Secret changed, and never a value: what is told
// is read by more people than the Secret is for. The manifest that was last
// applied repeats the values.
func (t *telling) secret(c *change) bool {
	switch {
	case c.in("data"), c.in("stringData"):
		key := ""
		if len(c.path) > 1 {
			key = " " + c.path[1]
		}
		word := "changed"
		switch {
		case c.old == nil:
			word = "added"
		case c.new == nil:
			word = "removed"
		}
		t.say(rankSpec, "data%s %s", key, word)
	case holdsValue(c):
		if t.once("manifest") {
			t.say(rankMeta, "manifest applied")
		}
	default:
		return false
	}
	return true
}

// holdsValue reports whether what has changed of a Secret is, or has in it, what
// nobody is to read.
func holdsValue(c *change) bool {
	return c.in("data") || c.in("stringData") || c.is("metadata", "annotations", "*") && seal.Holds(c.last())
}

// shown returns what of a value everybody may see; empty: there is none.
func shown(v []byte) string {
	if v = present(v); v == nil {
		return ""
	}
	if at := wire.NewCursor(v); !wire.IsMap(v) && !wire.IsArray(v) {
		if text, sealed := seal.Shown(at.Str()); sealed {
			return text
		}
	}
	return seal.NotShown
}
