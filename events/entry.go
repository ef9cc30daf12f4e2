package events

import (
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
)

// MaxMessage is what the servers of a log must take in one message: an event of
// MaxSize and its headers.
const MaxMessage = 3 << 20

// MaxSize bounds the encoded bytes of one event, so that every log takes what
// another takes. Kubernetes takes requests of 1.5 MiB; an object of that size
// whose bytes JSON writes in base64 has 2 MiB, and an event has field names, an
// envelope and what it changes besides. A plan of MaxCommands commands with the
// longest names has 225,800 bytes.
const MaxSize = MaxMessage - 4<<10

// Stored is what a log stores of one entry.
type Stored struct {
	ID      ulid.ULID
	Subject string
	Raw     []byte
	Expect  Expect
	Seen    Seq
	Bound   bool
}

// Encode returns what a log stores of the entries of one append, and refuses
// entries that no log takes.
func (s Subjects) Encode(es ...Entry) ([]Stored, error) {
	if len(es) == 0 {
		return nil, errors.New("no events")
	}
	out := make([]Stored, len(es))
	named := map[string]bool{} // subjects that are written or expected of
	for i, e := range es {
		subject, raw, err := s.encode(e.Event)
		switch x := e.Expect; {
		case err != nil:
			return nil, err
		case x.Subject == "" && x.Last != 0:
			return nil, fmt.Errorf("position %d is expected of no subject", x.Last)
		case e.Bound && x.Subject != subject:
			return nil, fmt.Errorf("an event of %s is bound to what is expected of %q", subject, x.Subject)
		case x.Subject != "" && named[x.Subject]:
			return nil, fmt.Errorf("%s is expected of by an entry behind another that is about it", x.Subject)
		case x.Subject != "":
			named[x.Subject] = true
		}
		named[subject] = true
		out[i] = Stored{e.ID, subject, raw, e.Expect, e.Seen, e.Bound}
	}
	return out, nil
}

// encode returns the subject and the bytes of e. It refuses an event without an
// id, which could not be told from a duplicate, one whose name or body no log
// takes, and one of more than MaxSize bytes.
func (s Subjects) encode(e Event) (subject string, raw []byte, err error) {
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
		return "", nil, TooLarge(subject, len(raw), MaxSize)
	}
	return subject, raw, nil
}

// TooLarge is the error of an event of n encoded bytes for a log that takes most.
func TooLarge(subject string, n, most int) *Error {
	return &Error{Code: "E-EVT-SIZE", What: fmt.Sprintf("the event has %d bytes", n), Where: subject,
		Why: fmt.Sprintf("the log takes at most %d", most), Do: "make the object smaller", Exit: ExitInput, Err: ErrTooLarge}
}
