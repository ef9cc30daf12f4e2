package wire_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"rollcall/events/wire"
)

func TestMarshalJSON(t *testing.T) {
	for _, c := range []struct{ json, hex, back string }{
		{`null`, "c0", ""},
		{` true `, "c3", "true"},
		{`-1`, "ff", ""},
		{`9007199254740993`, "cf0020000000000001", ""},
		{`18446744073709551615`, "cfffffffffffffffff", ""},
		{`-9223372036854775808`, "d38000000000000000", ""},
		{`1.5`, "cb3ff8000000000000", ""},
		{`2.0`, "cb4000000000000000", ""},
		{`1e3`, "cb408f400000000000", "1000.0"},
		{`1e300`, "cb7e37e43c8800759c", "1e+300"},
		{`1e-7`, "cb3e7ad7f29abcaf48", "1e-07"},
		{`-0`, "cb8000000000000000", "-0.0"},
		{`""`, "a0", ""},
		{`"\u00e9\n\u0001\"\\\t<"`, "a8c3a90a01225c093c", `"é\n\u0001\"\\\t<"`},
		{`"\ud800"`, "a3efbfbd", `"�"`},
		{`[ ]`, "90", "[]"},
		{`{"b":[1,{}],"a":null}`, "82a161c0a162920180", `{"a":null,"b":[1,{}]}`},
		{`{"a":1,"a":2}`, "81a16102", `{"a":2}`},
	} {
		b, err := wire.Marshal(json.RawMessage(c.json))
		if err != nil || hex.EncodeToString(b) != c.hex {
			t.Errorf("%s: got %x, %v, want %s", c.json, b, err, c.hex)
			continue
		}
		if c.back == "" {
			c.back = c.json
		}
		if j, err := wire.ToJSON(b); err != nil || string(j) != c.back {
			t.Errorf("%s: back as %s, %v, want %s", c.json, j, err, c.back)
		}
	}
}

func TestMarshalRefusesJSON(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`18446744073709551616`, "does not fit 64 bits"},
		{`-9223372036854775809`, "does not fit 64 bits"},
		{`[1e400]`, "does not fit 64 bits"},
		{`NaN`, "invalid character"},
		{strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "exceeded max depth"},
	} {
		if _, err := wire.Marshal(json.RawMessage(c.json)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20s: got %v, want %s", c.json, err, c.want)
		}
	}
}

func TestToJSON(t *testing.T) {
	for _, c := range []struct{ hex, json string }{
		{"c403 ff0061", `"/wBh"`},
		{"ca 3dcccccd", `0.1`}, // a float32 is not 0.10000000149011612
		{"d9 03 e282ac", `"€"`},
		{"a3 e28261", `"��a"`},
		{"82 a162 01 a161 02", `{"b":1,"a":2}`},
		{"dc 0002 c2 de 0001 a0 c3", `[false,{"":true}]`},
	} {
		if j, err := wire.ToJSON(unhex(t, c.hex)); err != nil || string(j) != c.json {
			t.Errorf("%s: got %s, %v, want %s", c.hex, j, err, c.json)
		}
	}
	for _, c := range []struct{ hex, want string }{
		{"", "unexpected end at byte 0"},
		{"81 01 02", "map key is not a string at byte 1"},
		{"91 d4 01 02", "byte 0xd4 begins nothing that JSON has at byte 1"},
		{"cb 7ff8000000000001", "NaN is no JSON number"},
		{"c0 c0", "another value follows at byte 1"},
		{"93 01", "unexpected end at byte 2"},
		{strings.Repeat("91", 20_000) + "c0", "nested too deep"},
	} {
		if _, err := wire.ToJSON(unhex(t, c.hex)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20s: got %v, want %s", c.hex, err, c.want)
		}
	}
}
