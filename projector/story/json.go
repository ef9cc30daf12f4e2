package story

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/events/wire"
)

// JSON returns an event that a log was read from as one line of JSON: its
// position and when it was stored, then the fields of its envelope as
// docs/EVENTS.md has them. An event that is not read, or not believed, says in
// the field unreadable why; what has no JSON form is there as text, or in
// base64 if it is none. Values of Secrets are what of them everybody may see.
func JSON(e events.Event) []byte {
	head := headJSON{Seq: e.Seq, Stored: e.Stored.UTC()}
	if b, ok := e.Body.(events.Unreadable); ok {
		head.Unreadable = &unreadableJSON{Code: b.Code, Why: b.Why}
	}
	fields, err := envelopeJSON(e.Raw)
	if err != nil {
		if head.Unreadable == nil {
			head.Unreadable = &unreadableJSON{Code: "E-EVT-OBJECT", Why: err.Error()}
		}
		if utf8.Valid(e.Raw) {
			head.Unreadable.Text = string(e.Raw)
		} else {
			head.Unreadable.Raw = e.Raw
		}
	}
	out, err := json.Marshal(head)
	if err != nil {
		panic(err) // numbers, times of a log and strings
	}
	if len(fields) == 0 {
		return out
	}
	return append(append(out[:len(out)-1], ','), fields...)
}

type headJSON struct {
	Seq        events.Seq      `json:"seq"`
	Stored     time.Time       `json:"stored,omitzero"`
	Unreadable *unreadableJSON `json:"unreadable,omitempty"`
}

type unreadableJSON struct {
	Code string `json:"code"`
	Why  string `json:"why"`
	Text string `json:"text,omitempty"`
	Raw  []byte `json:"raw,omitempty"`
}

// envelopeJSON returns the fields of an envelope without the brace before them;
// nothing: there are none. Fields with a name of headJSON are left to be seen in
// the bytes: they are none of an envelope, and would hide what is so.
func envelopeJSON(raw []byte) ([]byte, error) {
	for _, name := range []string{"seq", "stored", "unreadable"} {
		if len(wire.Field(raw, name)) > 0 {
			return nil, fmt.Errorf("the envelope has a field %s, which is none", name)
		}
	}
	if !wire.IsMap(raw) {
		return nil, errors.New("the envelope is no map")
	}
	raw, err := seal.HiddenEvent(raw)
	if err != nil {
		return nil, err
	}
	j, err := wire.ToJSON(raw)
	if err != nil || len(j) == len("{}") {
		return nil, err
	}
	return j[1:], nil
}
