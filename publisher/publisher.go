// Package publisher is what a program needs that tells a rollcall cluster
// something: the events that can be told, the answers, and a client over HTTP.
//
// It imports nothing of Kubernetes, so that whoever wants only to tell that a
// node is there does not link a Kubernetes server.
//
// An event is told once however often it is sent: source and id are what it is
// known by, and the answer to a second sending is that to the first.
package publisher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// SpecVersion is the version of CloudEvents that events have.
const SpecVersion = "1.0"

// Event is a CloudEvents 1.0 event whose data is JSON. Of its fields only Type
// is required here: the gate completes an event that has no source and no id.
type Event struct {
	ID      string // with Source, what the event is known by; empty: derived from the rest
	Source  string // who tells, a URI reference; empty: the name in the table of sources
	Type    string // what is told: "node.condition", "com.example.deploy.started"
	Subject string // what it is about: "node/n-17", "pod/logging/agent-x7k2p", "hold/freeze"
	Time    time.Time
	// DataSchema is the URI of the schema of the data, or empty: the newest.
	DataSchema      string
	DataContentType string // empty: application/json
	Data            json.RawMessage
	// Extensions are CloudEvents extension attributes: lower-case letters and
	// digits, and text.
	Extensions map[string]string
}

// attributes are the members of an event in CloudEvents' JSON format, besides
// the extensions.
type attributes struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id,omitempty"`
	Source          string          `json:"source,omitempty"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time,omitempty"`
	DataSchema      string          `json:"dataschema,omitempty"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
}

// MarshalJSON returns the event in CloudEvents' JSON format.
func (e Event) MarshalJSON() ([]byte, error) {
	a := attributes{SpecVersion, e.ID, e.Source, e.Type, e.Subject, "", e.DataSchema, e.DataContentType, e.Data}
	if !e.Time.IsZero() {
		a.Time = e.Time.UTC().Format(time.RFC3339Nano)
	}
	b, err := json.Marshal(a)
	if err != nil || len(e.Extensions) == 0 {
		return b, err
	}
	out := bytes.NewBuffer(b[:len(b)-1])
	for _, name := range slices.Sorted(maps.Keys(e.Extensions)) {
		key, _ := json.Marshal(name) // a string can always be written
		value, _ := json.Marshal(e.Extensions[name])
		fmt.Fprintf(out, ",%s:%s", key, value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// newEvent returns an event that has no id yet: a Client gives it one before it is
// sent for the first time.
func newEvent(name, subject string, data any) (Event, error) {
	b, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("write the data of %s: %w", name, err)
	}
	return Event{Type: name, Subject: subject, Data: b}, nil
}

// NewNote returns an event of a type of your own, such as
// com.example.deploy.started, with any data. It is about objects, each
// node/NAME, pod/NAMESPACE/NAME or ds/NAMESPACE/NAME.
func NewNote(name string, data any, objects ...string) (Event, error) {
	return newEvent(name, strings.Join(objects, ","), data)
}
