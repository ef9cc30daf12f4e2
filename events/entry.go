package events

import (
	"fmt"

	"github.com/oklog/ulid/v2"
)

// MaxSize bounds the encoded bytes of one event, so that every log takes what
// another takes: one mebibyte, the common limit of NATS servers, less room for
// the headers. A plan of MaxCommands commands with the
// longest names has 180,809 bytes.
const MaxSize = 1<<20 - 4<<10

// Entry returns what a log stores of e: its subject and its bytes. It refuses
// an event without an id, which could not be told from a duplicate, one whose
// name or body no log takes, and one of more than MaxSize bytes.
func (s Subjects) Entry(e Event) (subject string, raw []byte, err error) {
	if e.ID == (ulid.ULID{}) {
		return "", nil, &Error{Code: "E-EVT-ID", What: fmt.Sprintf("a %s event has no id", e.Type), Exit: ExitInput}
	}
	subject, err = s.Of(e)
	if err != nil {
		return "", nil, err
	}
	raw, err = Encode(e)
	if err != nil {
		return "", nil, err
	}
	if len(raw) > MaxSize {
		return "", nil, TooLarge(subject, len(raw))
	}
	return subject, raw, nil
}

// TooLarge is the error of an event of n encoded bytes, more than MaxSize.
func TooLarge(subject string, n int) *Error {
	return &Error{Code: "E-EVT-SIZE", What: fmt.Sprintf("the event has %d bytes", n), Where: subject,
		Why: fmt.Sprintf("a log takes at most %d", MaxSize), Do: "make the object smaller", Exit: ExitInput, Err: ErrTooLarge}
}
