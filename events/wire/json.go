package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// maxDepth bounds the nesting that is followed, as encoding/json does.
const maxDepth = 10_000

// ToJSON returns one msgpack value as JSON on one line. Binaries become
// base64, as []byte does in JSON. A float keeps a fraction or an exponent, so
// that it is read back as a float. It returns an error for what JSON
// cannot hold: NaN, infinities, extension types, keys that are not strings.
func ToJSON(b []byte) ([]byte, error) {
	w := jsonWriter{Cursor: NewCursor(b), out: make([]byte, 0, len(b)+len(b)/2)}
	w.value(maxDepth)
	if w.err == nil && w.off < len(b) {
		w.fail("another value follows")
	}
	if w.err != nil {
		return nil, w.err
	}
	return w.out, nil
}

type jsonWriter struct {
	Cursor
	out []byte
}

func (w *jsonWriter) value(depth int) {
	if w.err != nil {
		return
	}
	if depth == 0 {
		w.fail("nested too deep")
		return
	}
	switch x := w.peek(); kinds[x] {
	case kindNil:
		w.Skip()
		w.out = append(w.out, "null"...)
	case kindBool:
		w.out = strconv.AppendBool(w.out, w.Bool())
	case kindInt:
		w.out = strconv.AppendInt(w.out, w.Int(), 10)
	case kindUint64:
		w.out = strconv.AppendUint(w.out, w.unsigned(), 10)
	case kindFloat:
		w.float(x)
	case kindStr:
		w.out = appendJSONString(w.out, w.Str())
	case kindBin:
		w.out = append(w.out, '"')
		w.out = base64.StdEncoding.AppendEncode(w.out, w.Str())
		w.out = append(w.out, '"')
	case kindArray:
		w.array(depth)
	case kindMap:
		w.object(depth)
	default:
		w.fail(fmt.Sprintf("byte 0x%02x begins nothing that JSON has", x))
	}
}

func (w *jsonWriter) array(depth int) {
	n := w.Array()
	w.out = append(w.out, '[')
	for i := 0; i < n && w.err == nil; i++ {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.value(depth - 1)
	}
	w.out = append(w.out, ']')
}

func (w *jsonWriter) object(depth int) {
	n := w.Map()
	w.out = append(w.out, '{')
	for i := 0; i < n && w.err == nil; i++ {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if !isStr(w.peek()) {
			w.fail("map key is not a string")
			return
		}
		w.out = appendJSONString(w.out, w.Str())
		w.out = append(w.out, ':')
		w.value(depth - 1)
	}
	w.out = append(w.out, '}')
}

// float writes the shortest form that reads back the same, in the notation of encoding/json.
func (w *jsonWriter) float(head byte) {
	f := w.Cursor.float()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.fail(fmt.Sprintf("%v is no JSON number", f))
		return
	}
	bits, format := 64, byte('f')
	if head == 0xca {
		bits = 32
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	from := len(w.out)
	w.out = strconv.AppendFloat(w.out, f, format, -1, bits)
	if !bytes.ContainsAny(w.out[from:], ".e") {
		w.out = append(w.out, ".0"...)
	}
}

const hexDigits = "0123456789abcdef"

// appendJSONString appends s quoted; bytes that are not UTF-8 become U+FFFD.
func appendJSONString(out, s []byte) []byte {
	out = append(out, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && n == 1 {
				out = append(append(out, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		out = append(out, s[from:i]...)
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\n':
			out = append(out, '\\', 'n')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	out = append(out, s[from:]...)
	return append(out, '"')
}

// putJSON writes one JSON value as msgpack, with the keys of every object
// sorted. A number without fraction and exponent is an integer and must fit 64
// bits; any other is a float. Of several equal keys the last counts.
func putJSON(e *msgpack.Encoder, j []byte) error {
	dec := json.NewDecoder(bytes.NewReader(j))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	return putJSONValue(e, v)
}

func putJSONValue(e *msgpack.Encoder, v any) error {
	switch v := v.(type) {
	case nil:
		return e.EncodeNil()
	case bool:
		return e.EncodeBool(v)
	case string:
		return e.EncodeString(v)
	case json.Number:
		return putNumber(e, v.String())
	case []any:
		if err := e.EncodeArrayLen(len(v)); err != nil {
			return err
		}
		for _, x := range v {
			if err := putJSONValue(e, x); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		if err := e.EncodeMapLen(len(v)); err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if err := e.EncodeString(k); err != nil {
				return err
			}
			if err := putJSONValue(e, v[k]); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%T is no JSON value", v)
}

func putNumber(e *msgpack.Encoder, s string) error {
	if strings.ContainsAny(s, ".eE") || s == "-0" {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return fmt.Errorf("number %s does not fit 64 bits", s)
		}
		return e.EncodeFloat64(f)
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return e.EncodeInt(n)
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return fmt.Errorf("number %s does not fit 64 bits", s)
	}
	return e.EncodeUint(n)
}
