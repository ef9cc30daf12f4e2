package replay

import (
	"bytes"
	"strings"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/events/wire"
	"rollcall/projector/story"
)

// secret is the kind whose values are not told.
var secret = strings.ToLower(string(events.Secret))

// maxQuoted bounds how much is told of a string before and after what was found.
const maxQuoted = 60

// absent is what look says of an event in whose bytes a text is not.
const absent = absence(true)

type absence bool

// look returns what can be said of the bytes of an event alone: whether a text may be
// in it. It is asked on other cores; nil: there is nothing to say.
func (q Query) look() func(raw []byte) any {
	if q.Field != nil || q.Pattern != nil || q.Text == "" {
		return nil
	}
	text := []byte(q.Text)
	return func(raw []byte) any {
		if bytes.Contains(raw, text) {
			return nil
		}
		return absent
	}
}

// find looks in the strings of an event. What is found in its bytes may be none:
// bytes of numbers, or of two strings.
func (s *search) find(f *fact, raw []byte) (in, value string, found bool) {
	if s.Pattern == nil && !bytes.Contains(raw, []byte(s.Text)) {
		return "", "", false
	}
	if f.of == secret {
		raw, _ = seal.HiddenEvent(raw) // what cannot be read has nothing to be found
	}
	wire.EachString(raw, func(p wire.Path, b []byte) bool {
		from, to := s.match(b)
		if found = from >= 0; found {
			in, value = placeOf(p), quoted(b, from, to)
		}
		return !found
	})
	return in, value, found
}

// match returns where in a string it is that is looked for; -1: nowhere.
func (s *search) match(b []byte) (from, to int) {
	if s.Pattern != nil {
		if at := s.Pattern.FindIndex(b); at != nil {
			return at[0], at[1]
		}
		return -1, 0
	}
	from = bytes.Index(b, []byte(s.Text))
	return from, from + len(s.Text)
}

// placeOf names a place in an event: a field of its object as people write it,
// else a field of the envelope.
func placeOf(p wire.Path) string {
	if len(p) > 1 && (string(p[0].Key) == "object" || string(p[0].Key) == "gone") {
		p = p[1:]
	}
	return p.String()
}

// quoted returns what was found in a string, with what is around it.
func quoted(b []byte, from, to int) string {
	begin, end := max(0, from-maxQuoted), min(len(b), to+maxQuoted)
	text := strings.ToValidUTF8(string(b[begin:end]), "")
	if begin > 0 {
		text = "…" + text
	}
	if end < len(b) {
		text += "…"
	}
	return story.OneLine(text)
}
