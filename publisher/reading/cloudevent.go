package reading

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/events/wire"
	"rollcall/publisher"
)

// typePrefix begins the types of events that are not told.
const typePrefix = "io.rollcall."

// Encoder writes events of a log as CloudEvents.
type Encoder struct{ cluster string }

// NewEncoder returns an encoder for the log of a cluster.
func NewEncoder(cluster string) Encoder { return Encoder{cluster} }

// Event returns the attributes of an event, which have a form in JSON and in
// msgpack alike. One that was told has the type, source, id, time and data that its
// sender gave it, and toldby says who that was; any other has the fields of its
// envelope as data. seq is the position, cause the command that it answers, and
// replay says that it is from before the reader asked.
func (c Encoder) Event(e events.Event, replay bool) map[string]any {
	m := map[string]any{"specversion": publisher.SpecVersion, "seq": e.Seq, "id": e.ID.String(), "type": typePrefix + string(e.Type),
		"source": path.Join("/rollcall", c.cluster, e.Source), "datacontenttype": "application/json"}
	when := e.At
	if subject := subjectOf(events.RefOf(e)); subject != "" {
		m["subject"] = subject
	}
	if t := e.Told; t != nil {
		when = told(m, t, when)
	} else if b, ok := e.Body.(events.Unreadable); ok {
		m["id"], m["type"] = fmt.Sprint(e.Seq), typePrefix+"unreadable"
		m["data"] = map[string]any{"code": b.Code, "why": b.Why}
	} else {
		m["data"] = data(e)
	}
	if !when.IsZero() {
		m["time"] = when.UTC().Format(time.RFC3339Nano)
	}
	if !e.Stored.IsZero() {
		m["recordedtime"] = e.Stored.UTC().Format(time.RFC3339Nano)
	}
	if !e.Cause.IsZero() {
		m["cause"] = fmt.Sprintf("%d/%d", e.Cause.Seq, e.Cause.Index)
	}
	if replay {
		m["replay"] = true
	}
	return m
}

// told writes what the sender said, and returns when it says that it was.
func told(m map[string]any, t *events.Told, when time.Time) time.Time {
	for name, value := range t.Extensions {
		if _, own := m[name]; !own {
			m[name] = value
		}
	}
	m["type"], m["id"], m["toldby"] = t.Type, t.ID, t.Source
	if m["source"] = t.From; t.From == "" {
		m["source"] = t.Source
	}
	if t.Subject != "" {
		m["subject"] = t.Subject
	}
	if t.Late {
		m["late"] = true
	}
	delete(m, "datacontenttype")
	var data any
	if len(t.Data) > 0 && wire.Unmarshal(t.Data, &data) == nil {
		m["data"], m["datacontenttype"] = data, "application/json"
	}
	if !t.Time.IsZero() {
		return t.Time
	}
	return when
}

// attributes of an envelope that a CloudEvent has in its own.
var attributes = []string{"v", "id", "type", "source", "at", "cause"}

// data returns the other fields of an envelope, of a Secret as everybody may see it.
func data(e events.Event) any {
	raw, err := seal.HiddenEvent(e.Raw)
	var m map[string]any
	if err != nil || wire.Unmarshal(raw, &m) != nil {
		return map[string]any{}
	}
	for _, name := range attributes {
		delete(m, name)
	}
	return m
}

// JSON returns an event as one line.
func (c Encoder) JSON(e events.Event, replay bool) ([]byte, error) {
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false)
	err := j.Encode(c.Event(e, replay))
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// msgpack returns an event as one map.
func (c Encoder) msgpack(e events.Event, replay bool) ([]byte, error) {
	return wire.Marshal(c.Event(e, replay))
}

// subjectOf names an object as subjects of told events do.
func subjectOf(r events.Ref) string {
	if r.Kind == "" || r.Key.Name == "" {
		return ""
	}
	kind := strings.ToLower(string(r.Kind))
	if r.Kind == events.DaemonSet {
		kind = "ds"
	}
	return kind + "/" + r.Key.String()
}
