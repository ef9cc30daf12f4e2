// Package envelope reads what a program outside sends: CloudEvents 1.0 as one
// JSON object, in headers with the data as the body, as a batch or as lines, a
// short form of an event, and msgpack of all of these.
//
// What is read is bounded before it is decoded: bytes, depth, events. A key that
// is there twice, text that is not UTF-8 and a number that 64 bits do not hold
// are refused rather than repaired, because who sends such a thing meant
// something else than what would be read.
//
// The package is pure, and knows no type of event: publisher/schema does.
package envelope

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	"rollcall/publisher"
)

// Message is what came in, by HTTP or NATS.
type Message struct {
	// Header has the headers as http.Header and nats.Header do. The case of their
	// names does not matter.
	Header map[string][]string
	Body   []byte
	// Type is of events that do not say theirs: a subject of NATS has it.
	Type string
}

// Limits bound a message. A zero field is that of Default.
type Limits struct {
	Bytes  int // of the body
	Depth  int // of objects and arrays within each other in one event
	Events int // in one message
}

// terms are how the events of a message are read.
type terms struct {
	Limits
	typ string // of events that do not say theirs; empty: each has to
}

// Default are the limits of a gate that is told nothing else.
var Default = Limits{Bytes: 1 << 20, Depth: 32, Events: 1000}

// Batch is what a message holds.
type Batch struct {
	Items []Item
	// Many says that several events could have been in the message, so that the
	// answer is a list, of one result too.
	Many bool
}

// Item is one event of a message, or what is wrong with it.
type Item struct {
	Event   publisher.Event
	Problem *publisher.Problem // nil: the event can be read
	// Raw is the event as it came, a part of the body; in binary mode the body.
	Raw []byte
}

// Parse returns the events of a message in their order, or what is wrong with
// the message as a whole.
func Parse(m Message, limits Limits) (Batch, *publisher.Problem) {
	l := terms{Limits{cmp.Or(limits.Bytes, Default.Bytes), cmp.Or(limits.Depth, Default.Depth), cmp.Or(limits.Events, Default.Events)}, m.Type}
	h, p := headers(m.Header)
	switch {
	case p != nil:
		return Batch{}, p
	case len(m.Body) > l.Bytes:
		return Batch{}, publisher.NewProblem(413, "E-TOLD-SIZE", "too large",
			fmt.Sprintf("the body has %d bytes, and %d are taken; send less at a time", len(m.Body), l.Bytes))
	case !identity(h["content-encoding"]) || bytes.HasPrefix(m.Body, []byte{0x1f, 0x8b}):
		return Batch{}, publisher.NewProblem(415, "E-TOLD-MEDIA", "compressed",
			"the body is compressed, which is not taken; send it as it is")
	}
	media, _, err := mime.ParseMediaType(cmp.Or(h["content-type"], "application/json"))
	if err != nil {
		return Batch{}, unknownMedia(h["content-type"])
	}
	if h.binary() && !strings.HasPrefix(media, "application/cloudevents") {
		return Batch{Items: []Item{fromHeaders(h, media, m.Body, l)}}, nil
	}
	switch media {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-lines":
		return lines(m.Body, l)
	case "application/json", "application/cloudevents+json", "application/cloudevents-batch+json":
		return fromJSON(m.Body, media, l)
	case "application/msgpack", "application/x-msgpack", "application/vnd.msgpack":
		return fromMsgpack(m.Body, l)
	}
	return Batch{}, unknownMedia(h["content-type"])
}

func unknownMedia(got string) *publisher.Problem {
	return publisher.NewProblem(415, "E-TOLD-MEDIA", "unknown content type", fmt.Sprintf("the content type %s is not taken; "+
		"send application/json, application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson or application/msgpack", quote(got)))
}

func identity(encoding string) bool { return encoding == "" || strings.EqualFold(encoding, "identity") }

func empty() *publisher.Problem {
	return publisher.NewProblem(400, "E-TOLD-EMPTY", "empty", `nothing was sent; an event is {"type":"...","subject":"...","data":{...}}`)
}

func tooMany(l terms) *publisher.Problem {
	return publisher.NewProblem(413, "E-TOLD-BATCH", "too many events",
		fmt.Sprintf("more than %d events in one message; send fewer at a time", l.Events))
}

// fromJSON reads one event, or an array of them.
func fromJSON(body []byte, media string, l terms) (Batch, *publisher.Problem) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return Batch{}, empty()
	}
	if body[0] != '[' {
		if media == "application/cloudevents-batch+json" {
			return Batch{}, publisher.NewProblem(400, "E-TOLD-JSON", "no array", "a CloudEvents batch is an array of events; send [...], or application/cloudevents+json")
		}
		return Batch{Items: []Item{one(body, body, l)}}, nil
	}
	if media == "application/cloudevents+json" {
		return Batch{}, publisher.NewProblem(400, "E-TOLD-JSON", "an array", "application/cloudevents+json is one event; send an array as application/cloudevents-batch+json")
	}
	if p := valid(body); p != nil {
		return Batch{}, p
	}
	batch := Batch{Many: true}
	dec := json.NewDecoder(bytes.NewReader(body))
	_, err := dec.Token()
	for err == nil && dec.More() {
		if len(batch.Items) == l.Events {
			return Batch{}, tooMany(l)
		}
		var raw json.RawMessage
		if err = dec.Decode(&raw); err == nil {
			batch.Items = append(batch.Items, one(raw, raw, l))
		}
	}
	if err != nil { // what is valid can be read
		return Batch{}, publisher.NewProblem(400, "E-TOLD-JSON", "no JSON", err.Error())
	}
	if len(batch.Items) == 0 {
		return Batch{}, empty()
	}
	return batch, nil
}

// lines reads an event a line. A line that is wrong is wrong alone.
func lines(body []byte, l terms) (Batch, *publisher.Problem) {
	batch := Batch{Many: true}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(batch.Items) == l.Events {
			return Batch{}, tooMany(l)
		}
		batch.Items = append(batch.Items, one(line, line, l))
	}
	if len(batch.Items) == 0 {
		return Batch{}, empty()
	}
	return batch, nil
}

// one reads one event from JSON; raw is what it came as.
func one(j, raw []byte, l terms) Item {
	item := Item{Raw: raw}
	if item.Problem = check(j, l.Depth); item.Problem == nil {
		item.Event, item.Problem = fromObject(j, l.typ)
	}
	return item
}

// maxGot bounds what a refusal repeats of its input.
const maxGot = 80

// quote returns text as JSON, shortened.
func quote(s string) string {
	short := s
	if r := []rune(s); len(r) > maxGot {
		short = string(r[:maxGot]) + "..."
	}
	b, _ := json.Marshal(short) // a string can always be written
	return string(b)
}
