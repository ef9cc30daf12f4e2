package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"rollcall/publisher"
)

// check says what is wrong with the text of one event, whatever the event is
// about.
func check(b []byte, depth int) *publisher.Problem {
	if p := valid(b); p != nil {
		return p
	}
	w := walk{dec: json.NewDecoder(bytes.NewReader(b)), b: b, depth: depth}
	w.dec.UseNumber()
	for {
		before := w.dec.InputOffset()
		t, err := w.dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil { // what is valid has tokens
			return malformed(err.Error(), w.dec.InputOffset())
		}
		if p := w.token(t, before); p != nil {
			return p
		}
	}
}

// valid says whether the bytes are one JSON value, of text that is UTF-8.
func valid(b []byte) *publisher.Problem {
	if at := notUTF8(b); at >= 0 {
		return publisher.NewProblem(400, "E-TOLD-UTF8", "not UTF-8", fmt.Sprintf("the text is not UTF-8 at byte %d; send UTF-8", at))
	}
	var raw json.RawMessage
	err := json.Unmarshal(b, &raw)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return malformed(err.Error(), 0)
	}
	at := max(syntax.Offset-1, 0)
	rest := string(b[max(at-1, 0):min(int(at)+8, len(b))])
	switch {
	case strings.Contains(syntax.Error(), "max depth"):
		return tooDeep(at)
	case strings.Contains(syntax.Error(), "unexpected end"):
		return malformed("the text ends in the middle of a value", int64(len(b)))
	case strings.Contains(syntax.Error(), "after top-level value"):
		return publisher.NewProblem(400, "E-TOLD-JSON", "no JSON", fmt.Sprintf("another value follows at byte %d; send several events as an array, or a line each as application/x-ndjson", at))
	case strings.Contains(rest, "NaN") || strings.Contains(rest, "Inf"):
		return publisher.NewProblem(400, "E-TOLD-NUMBER", "no number", fmt.Sprintf("NaN and Infinity are no JSON (at byte %d); leave the value out", at))
	}
	return malformed(syntax.Error(), at)
}

func malformed(why string, at int64) *publisher.Problem {
	return publisher.NewProblem(400, "E-TOLD-JSON", "no JSON", fmt.Sprintf("%s, at byte %d; send JSON, or name another content type", why, at))
}

func tooDeep(at int64) *publisher.Problem {
	return publisher.NewProblem(400, "E-TOLD-DEPTH", "too deep", fmt.Sprintf("objects and arrays are too deep within each other at byte %d; send flatter data", at))
}

// notUTF8 returns where b is not UTF-8, or -1.
func notUTF8(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// walk is a way through the tokens of a JSON value.
type walk struct {
	dec   *json.Decoder
	b     []byte
	depth int
	open  []level
}

// level is an object or an array that the walk is in.
type level struct {
	keys map[string]bool // nil: an array
	key  bool            // a key comes next
}

// token takes the next token, which begins after the byte before.
func (w *walk) token(t json.Token, before int64) *publisher.Problem {
	if d, ok := t.(json.Delim); ok {
		switch d {
		case '{', '[':
			w.value()
			if len(w.open) == w.depth {
				return tooDeep(w.dec.InputOffset() - 1)
			}
			l := level{}
			if d == '{' {
				l = level{map[string]bool{}, true}
			}
			w.open = append(w.open, l)
		default:
			w.open = w.open[:len(w.open)-1]
		}
		return nil
	}
	if s, ok := t.(string); ok {
		if p := w.surrogate(s, before); p != nil {
			return p
		}
		if n := len(w.open); n > 0 && w.open[n-1].key {
			return w.name(s)
		}
	}
	w.value()
	if n, ok := t.(json.Number); ok {
		return number(n.String(), w.dec.InputOffset())
	}
	return nil
}

// value notes that a value comes here, so that in an object a key is next.
func (w *walk) value() {
	if n := len(w.open); n > 0 && w.open[n-1].keys != nil {
		w.open[n-1].key = true
	}
}

func (w *walk) name(key string) *publisher.Problem {
	l := &w.open[len(w.open)-1]
	if l.keys[key] {
		return publisher.NewProblem(400, "E-TOLD-DUPKEY", "a key twice",
			fmt.Sprintf("the key %s is in one object twice (at byte %d); send it once", quote(key), w.dec.InputOffset()))
	}
	l.keys[key], l.key = true, false
	return nil
}

// surrogate refuses half of a UTF-16 pair, which Go reads as U+FFFD.
func (w *walk) surrogate(s string, before int64) *publisher.Problem {
	if !strings.ContainsRune(s, utf8.RuneError) {
		return nil
	}
	written := bytes.ToLower(w.b[before:w.dec.InputOffset()])
	if bytes.Count(written, []byte(`\ufffd`))+bytes.Count(written, []byte("\ufffd")) < strings.Count(s, "\ufffd") {
		return publisher.NewProblem(400, "E-TOLD-UTF8", "half a character", fmt.Sprintf("half of a UTF-16 pair before byte %d; send whole characters", w.dec.InputOffset()))
	}
	return nil
}

// number refuses what 64 bits do not hold: another reader would see another number.
func number(s string, end int64) *publisher.Problem {
	var err error
	if strings.ContainsAny(s, ".eE") {
		_, err = strconv.ParseFloat(s, 64)
	} else if _, err = strconv.ParseInt(s, 10, 64); err != nil {
		_, err = strconv.ParseUint(s, 10, 64)
	}
	if err == nil {
		return nil
	}
	return publisher.NewProblem(400, "E-TOLD-NUMBER", "number too large", fmt.Sprintf("the number %s before byte %d does not fit 64 bits; send it as text", quote(s), end))
}
