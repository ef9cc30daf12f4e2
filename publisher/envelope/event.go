package envelope

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"rollcall/publisher"
)

// longest has the attributes of CloudEvents and how many bytes they may have.
var longest = map[string]int{"specversion": 16, "id": 256, "source": 1024, "type": 253, "subject": 4096,
	"time": 64, "dataschema": 1024, "datacontenttype": 128}

const (
	maxExtensions     = 32
	maxExtensionBytes = 4096
)

// fromObject reads an event in CloudEvents' JSON format, or the short form of
// one, from an object that check has passed. It is of type typ if it says none.
func fromObject(b []byte, typ string) (publisher.Event, *publisher.Problem) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil || members == nil {
		return publisher.Event{}, plain("the record is no object")
	}
	if typ == "" && members["type"] == nil && members["specversion"] == nil && nearest(members) == "" {
		return publisher.Event{}, plain("the record has no type")
	}
	a := attributes{}
	if typ != "" && nearest(members) == "" {
		a["type"] = typ
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "data" || name == "data_base64" || string(members[name]) == "null" {
			continue
		}
		text, p := scalar(name, members[name])
		if p != nil {
			return publisher.Event{}, p
		}
		a[name] = text
	}
	ev, p := a.event()
	if p != nil {
		return ev, p
	}
	return ev, data(&ev, members)
}

// plain refuses what is not an event, such as the records of a log shipper.
func plain(why string) *publisher.Problem {
	return publisher.NewProblem(400, "E-TOLD-PLAIN", "no event",
		why+`: an event is {"type":"...","subject":"...","data":{...}}; put what you have into data, or see rollcall schema ls`)
}

// nearest returns a member that has the name of a required attribute but for
// its letter case.
func nearest(members map[string]json.RawMessage) string {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if strings.EqualFold(name, "type") || strings.EqualFold(name, "specversion") {
			return name
		}
	}
	return ""
}

// data puts the data of an event where it belongs.
func data(ev *publisher.Event, members map[string]json.RawMessage) *publisher.Problem {
	encoded := members["data_base64"]
	if encoded == nil || string(encoded) == "null" {
		if d := members["data"]; string(d) != "null" {
			ev.Data = d
		}
		return nil
	}
	if members["data"] != nil {
		return wrong("/data_base64", "data or data_base64", "both", "leave one out")
	}
	var text string
	raw, err := []byte(nil), json.Unmarshal(encoded, &text)
	if err == nil {
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		return wrong("/data_base64", "base64", quote(string(encoded)), "send the data in data, as JSON")
	}
	if p := check(raw, Default.Depth-1); p != nil {
		p.Detail = "in data_base64: " + p.Detail
		return p
	}
	ev.Data = raw
	return nil
}

// scalar returns the text of an attribute: a string, and for extensions a truth
// value or an integer of 32 bits too.
func scalar(name string, b json.RawMessage) (string, *publisher.Problem) {
	var text string
	if json.Unmarshal(b, &text) == nil {
		return text, nil
	}
	at := "/" + pointer(name)
	if longest[name] > 0 {
		return "", wrong(at, "a string", quote(string(b)), "")
	}
	if string(b) == "true" || string(b) == "false" {
		return string(b), nil
	}
	if _, err := strconv.ParseInt(string(b), 10, 32); err == nil {
		return string(b), nil
	}
	return "", wrong(at, "a string, a truth value or an integer of 32 bits", quote(string(b)), "attributes of CloudEvents are simple: put the rest into data")
}

// pointer returns a name as a part of a JSON pointer.
func pointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// wrong refuses an attribute.
func wrong(at, expected, got, hint string) *publisher.Problem {
	p := publisher.NewProblem(400, "E-TOLD-ATTRIBUTE", "wrong attribute", fmt.Sprintf("%s is not what CloudEvents has there; correct it and send it again", strings.TrimPrefix(at, "/")))
	p.Errors = []publisher.ProblemError{{Pointer: at, Expected: expected, Got: got, Hint: hint}}
	return p
}

// attributes are those of an event as text, by name.
type attributes map[string]string

// event checks the attributes and returns them as an event.
func (a attributes) event() (ev publisher.Event, p *publisher.Problem) {
	if v, ok := a["specversion"]; ok && v != publisher.SpecVersion {
		return ev, publisher.NewProblem(400, "E-TOLD-VERSION", "other version",
			fmt.Sprintf("specversion %s is not read; send CloudEvents %s", quote(v), publisher.SpecVersion))
	}
	extensions := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if p := a.check(name); p != nil {
			return ev, p
		}
		if longest[name] == 0 {
			extensions[name] = a[name]
		}
	}
	if len(extensions) > maxExtensions {
		return ev, publisher.NewProblem(413, "E-TOLD-SIZE", "too many attributes",
			fmt.Sprintf("%d extension attributes, and %d are taken; put the rest into data", len(extensions), maxExtensions))
	}
	if a["type"] == "" {
		return ev, wrong("/type", "a type", quote(a["type"]), "rollcall schema ls names those of rollcall")
	}
	if p := a.valid(); p != nil {
		return ev, p
	}
	ev = publisher.Event{ID: a["id"], Source: a["source"], Type: a["type"], Subject: a["subject"],
		DataSchema: a["dataschema"], DataContentType: a["datacontenttype"]}
	if len(extensions) > 0 {
		ev.Extensions = extensions
	}
	ev.Time, p = moment(a)
	return ev, p
}

// check refuses an attribute whose name or characters CloudEvents does not
// allow, or that is longer than any program needs.
func (a attributes) check(name string) *publisher.Problem {
	at, value := "/"+pointer(name), a[name]
	limit := longest[name]
	if limit == 0 {
		if limit = maxExtensionBytes; !ce.IsExtensionNameValid(name) || strings.ToLower(name) != name || len(name) > 64 {
			hint := "names of attributes are of lower-case letters and digits: put the rest into data"
			if longest[strings.ToLower(name)] > 0 {
				hint = fmt.Sprintf("did you mean %q?", strings.ToLower(name))
			}
			return wrong(at, "an attribute of CloudEvents", quote(name), hint)
		}
	}
	if len(value) > limit {
		p := wrong(at, fmt.Sprintf("at most %d bytes", limit), fmt.Sprintf("%d bytes", len(value)), "")
		p.Status = 413
		return p
	}
	for _, r := range value {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return wrong(at, "text without control characters", quote(value), fmt.Sprintf("take %U out", r))
		}
	}
	return nil
}

// valid has the SDK of CloudEvents say what is wrong with the attributes. What an
// event may leave out here is filled in for it.
func (a attributes) valid() *publisher.Problem {
	e := ce.New(publisher.SpecVersion)
	e.SetID("-")
	e.SetSource("-")
	e.SetType(a["type"])
	for _, set := range []struct {
		name string
		to   func(string)
	}{{"id", e.SetID}, {"source", e.SetSource}, {"subject", e.SetSubject}, {"dataschema", e.SetDataSchema}, {"datacontenttype", e.SetDataContentType}} {
		value, ok := a[set.name]
		if !ok {
			continue
		}
		if strings.TrimSpace(value) == "" {
			return wrong("/"+set.name, "text", quote(value), "leave it out")
		}
		set.to(value)
	}
	err := e.Validate()
	if err == nil {
		return nil
	}
	bad, ok := err.(ce.ValidationError) //nolint:errorlint // it is documented to be one
	if !ok {
		return wrong("/", "", "", err.Error())
	}
	name := slices.Sorted(maps.Keys(bad))[0]
	return wrong("/"+name, "a valid "+name, quote(a[name]), bad[name].Error())
}

// rfc3339 is stricter than time.Parse, which takes hours of one digit.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$`)

// moment returns the time of an event, zero if it has none.
func moment(a attributes) (time.Time, *publisher.Problem) {
	text, ok := a["time"]
	if !ok {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	if err != nil || !rfc3339.MatchString(text) || t.Year() < 1970 {
		p := publisher.NewProblem(400, "E-TOLD-TIME", "no time", fmt.Sprintf("time %s is not read; send RFC 3339, from 1970 on, or leave it out", quote(text)))
		p.Errors = []publisher.ProblemError{{Pointer: "/time", Expected: "RFC 3339", Got: quote(text), Hint: `as in "2026-11-26T14:03:05Z"`}}
		return time.Time{}, p
	}
	return t.UTC(), nil
}
