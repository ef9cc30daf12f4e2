package events

import (
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events/wire"
)

// WireVersion is written in every envelope. A reader refuses a newer one.
const WireVersion = 1

// envelope is an event as a log holds it. Of the last nine fields it has one.
// Decode reads the envelope by hand, because every fold does so for every event;
// and the commands of plans; all else is read as it is written, from its tags.
type envelope struct {
	Version int       `json:"v"`
	ID      string    `json:"id,omitempty"`
	Type    Type      `json:"type,omitempty"`
	Source  string    `json:"source,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Verb    string    `json:"verb,omitempty"`
	Manager string    `json:"manager,omitempty"`
	Change  string    `json:"change,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Cause   Cause     `json:"cause,omitzero"`
	Told    *Told     `json:"told,omitempty"`
	Ref     Ref       `json:"ref,omitzero"`
	Object  wire.Raw  `json:"object,omitempty"`
	Gone    *wire.Raw `json:"gone,omitempty"` // to nil: the last state is not known
	Plan    *Plan     `json:"plan,omitempty"`
	Outcome *Outcome  `json:"outcome,omitempty"`

	Unchanged bool     `json:"unchanged,omitempty"`
	Hold      *Hold    `json:"hold,omitempty"`
	Lifted    *Lifted  `json:"lifted,omitempty"`
	Note      *Note    `json:"note,omitempty"`
	Charter   *Charter `json:"charter,omitempty"`
}

// Encode returns the bytes of e in a log: a msgpack map with sorted keys. Seq
// and Stored are not in them, as the log assigns them. Equal events have equal
// bytes.
func Encode(e Event) ([]byte, error) {
	m := envelope{Version: WireVersion, Type: e.Type, Source: e.Source, Actor: e.Actor,
		Verb: e.Verb, Manager: e.Manager, Change: e.Change, At: e.At, Cause: e.Cause, Told: e.Told}
	if e.ID != (ulid.ULID{}) {
		m.ID = e.ID.String()
	}
	switch b := e.Body.(type) {
	case Object:
		if !wire.IsMap(b.Data) {
			return nil, fmt.Errorf("encode event %s: the data of %s is no map", e.ID, b.Ref)
		}
		m.Ref, m.Object = b.Ref, b.Data
	case Gone:
		if len(b.Data) > 0 && !wire.IsMap(b.Data) {
			return nil, fmt.Errorf("encode event %s: the data of %s is no map", e.ID, b.Ref)
		}
		m.Ref, m.Gone = b.Ref, (*wire.Raw)(&b.Data)
	case *Plan:
		m.Ref, m.Plan = b.Owner, b
	case Outcome:
		m.Ref, m.Outcome = b.Owner, &b
	case Unchanged:
		m.Ref, m.Unchanged = b.Ref, true
	case Hold:
		m.Hold = &b
	case Lifted:
		m.Lifted = &b
	case Note:
		m.Note = &b
	case Charter:
		m.Charter = &b
	default:
		return nil, fmt.Errorf("encode event %s: no body that a log takes: %T", e.ID, e.Body)
	}
	raw, err := wire.Marshal(&m)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return raw, nil
}
