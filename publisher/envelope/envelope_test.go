package envelope

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"rollcall/events/wire"
	"rollcall/publisher"
)

// message is one with headers, each "name: value".
func message(body string, headers ...string) Message {
	m := Message{Header: map[string][]string{}, Body: []byte(body)}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		m.Header[name] = append(m.Header[name], value)
	}
	return m
}

const (
	full  = `{"specversion":"1.0","id":"1","source":"/x","type":"node.gone","subject":"node/n-1","time":"2026-11-26T15:03:05.5+01:00","dataschema":"https://h/s.json","datacontenttype":"application/json","traceparent":"00-1","sampled":true,"partition":7,"nothing":null,"data":{"reason":"r","new":[1]}}`
	brief = `{"type":"node.gone","subject":"node/n-1","data":{"reason":"r"}}`
)

// TestForms reads an event in each form in which it can come.
func TestForms(t *testing.T) {
	whole := publisher.Event{ID: "1", Source: "/x", Type: "node.gone", Subject: "node/n-1", Time: time.Date(2026, 11, 26, 14, 3, 5, 5e8, time.UTC), DataSchema: "https://h/s.json",
		DataContentType: "application/json", Data: json.RawMessage(`{"reason":"r","new":[1]}`), Extensions: map[string]string{"traceparent": "00-1", "sampled": "true", "partition": "7"}}
	short := publisher.Event{Type: "node.gone", Subject: "node/n-1", Data: json.RawMessage(`{"reason":"r"}`)}
	note := publisher.Event{ID: "1", Source: "/x", Type: "com.example.x", DataContentType: "text/plain", Data: json.RawMessage(`"done"`)}
	packed, err := wire.Marshal(map[string]any{"type": "node.gone", "subject": "node/n-1", "data": map[string]any{"reason": "r"}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := wire.Marshal(map[string]any{"reason": "r"})
	if err != nil {
		t.Fatal(err)
	}
	mp, binary := string(packed), []string{"ce-specversion: 1.0", "ce-id: 1", "Ce-Source: /x", "CE-TYPE: node.gone", "ce-subject: node/n-1", "ce-time: 2026-11-26T14:03:05.5Z",
		"ce-dataschema: https://h/s.json", "ce-traceparent: 00-1", "ce-sampled: true", "ce-partition: 7"}
	for _, c := range []struct {
		name string
		m    Message
		want []publisher.Event
		many bool
	}{
		{"structured", message(full, "Content-Type: application/cloudevents+json; charset=utf-8"), []publisher.Event{whole}, false},
		{"structured as JSON", message(full, "content-type: application/json"), []publisher.Event{whole}, false},
		{"structured, no content type", message(" " + full + "\n"), []publisher.Event{whole}, false},
		{"short", message(brief), []publisher.Event{short}, false},
		{"short, of a subject", Message{Body: []byte(`{"subject":"node/n-1","data":{"reason":"r"}}`), Type: "node.gone"}, []publisher.Event{short}, false},
		{"short, of a subject that says the same", Message{Body: []byte(brief), Type: "node.gone"}, []publisher.Event{short}, false},
		{"batch", message("["+full+","+brief+"]", "Content-Type: application/cloudevents-batch+json"), []publisher.Event{whole, short}, true},
		{"array", message("[" + brief + "]"), []publisher.Event{short}, true},
		{"lines", message(full+"\r\n\n"+brief, "Content-Type: application/x-ndjson"), []publisher.Event{whole, short}, true},
		{"binary", message(string(whole.Data), append(binary, "Content-Type: application/json")...), []publisher.Event{whole}, false},
		{"binary with a percent sign", message("", "ce-type: com.example.x", "ce-subject: a%20%25b%C3%B6"), []publisher.Event{{Type: "com.example.x", Subject: "a %bö"}}, false},
		{"binary text", message("done", "ce-type: com.example.x", "ce-id: 1", "ce-source: /x", "Content-Type: text/plain"), []publisher.Event{note}, false},
		{"binary msgpack", message(string(data), "ce-type: node.gone", "ce-subject: node/n-1", "Content-Type: application/msgpack"), []publisher.Event{short}, false},
		{"base64", message(`{"type":"node.gone","subject":"node/n-1","data_base64":"eyJyZWFzb24iOiJyIn0="}`), []publisher.Event{short}, false},
		{"msgpack", message(mp, "Content-Type: application/msgpack"), []publisher.Event{short}, false},
		{"msgpack array", message("\x92"+mp+mp, "Content-Type: application/x-msgpack"), []publisher.Event{short, short}, true},
		{"no data", message(`{"type":"node.gone","subject":"node/n-1","data":null}`), []publisher.Event{{Type: "node.gone", Subject: "node/n-1"}}, false},
	} {
		b, p := Parse(c.m, Limits{})
		if p != nil || b.Many != c.many || len(b.Items) != len(c.want) {
			t.Errorf("%s: %v, %+v", c.name, p, b)
			continue
		}
		for i, item := range b.Items {
			got, want := fmt.Sprintf("%+v %s", item.Event, item.Event.Data), fmt.Sprintf("%+v %s", c.want[i], c.want[i].Data)
			if item.Problem != nil || got != want || len(item.Raw) == 0 && len(c.m.Body) > 0 {
				t.Errorf("%s: %v\n%s\nwant\n%s", c.name, item.Problem, got, want)
			}
		}
	}
}

// TestWritten reads what an event is written as.
func TestWritten(t *testing.T) {
	b, p := Parse(message(full), Limits{})
	if p != nil {
		t.Fatal(p)
	}
	text, err := json.Marshal(b.Items[0].Event)
	if err != nil {
		t.Fatal(err)
	}
	again, p := Parse(Message{Header: http.Header{"Content-Type": {"application/cloudevents+json"}}, Body: text}, Limits{})
	if p != nil || fmt.Sprint(again.Items[0].Event) != fmt.Sprint(b.Items[0].Event) {
		t.Errorf("%v: %s", p, text)
	}
}

// TestRefusals says what is wrong with a message, or with its envelope; what is
// wrong with its text is in the catalogue of publisher/schema.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Message
		code string
	}{
		{"an array as one event", message("["+brief+"]", "Content-Type: application/cloudevents+json"), "E-TOLD-JSON"},
		{"one event as a batch", message(brief, "Content-Type: application/cloudevents-batch+json"), "E-TOLD-JSON"},
		{"a batch that is cut", message("[" + brief + ","), "E-TOLD-JSON"},
		{"a batch and more", message("[" + brief + "] []"), "E-TOLD-JSON"},
		{"too many", message("[" + strings.Repeat(brief+",", 1000) + brief + "]"), "E-TOLD-BATCH"},
		{"too many lines", message(strings.Repeat(brief+"\n", 1001), "Content-Type: application/x-ndjson"), "E-TOLD-BATCH"},
		{"too many in msgpack", message("\xdc\x03\xe9"+strings.Repeat("\xc0", 1001), "Content-Type: application/msgpack"), "E-TOLD-BATCH"},
		{"no lines", message("\n\n", "Content-Type: application/x-ndjson"), "E-TOLD-EMPTY"},
		{"compressed", message(brief, "Content-Encoding: gzip"), "E-TOLD-MEDIA"},
		{"other JSON", message(brief, "Content-Type: application/ld+json"), "E-TOLD-MEDIA"},
		{"binary of a picture", message("x", "ce-type: com.example.x", "Content-Type: image/png"), "E-TOLD-MEDIA"},
		{"header twice", message(brief, "ce-id: 1", "Ce-Id: 2"), "E-TOLD-ATTRIBUTE"},
		{"header with two values", message(brief, "ce-id: 1", "ce-id: 2"), "E-TOLD-ATTRIBUTE"},
		{"binary without a type", message(`{}`, "ce-id: 1"), "E-TOLD-ATTRIBUTE"},
		{"binary badly encoded", message(`{}`, "ce-type: com.example.x", "ce-subject: 5%"), "E-TOLD-ATTRIBUTE"},
		{"binary not UTF-8", message(`{}`, "ce-type: com.example.x", "ce-subject: %ff"), "E-TOLD-ATTRIBUTE"},
		{"binary with bad data", message(`{"a":1,"a":2}`, "ce-type: com.example.x"), "E-TOLD-DUPKEY"},
		{"binary text that is not UTF-8", message("\xff", "ce-type: com.example.x", "Content-Type: text/plain"), "E-TOLD-UTF8"},
		{"data twice", message(`{"type":"a.b","data":1,"data_base64":"MQ=="}`), "E-TOLD-ATTRIBUTE"},
		{"no base64", message(`{"type":"a.b","data_base64":"*"}`), "E-TOLD-ATTRIBUTE"},
		{"base64 of what is no JSON", message(`{"type":"a.b","data_base64":"eHg="}`), "E-TOLD-JSON"},
		{"an attribute of a list", message(`{"type":"a.b","list":[1]}`), "E-TOLD-ATTRIBUTE"},
		{"an attribute with a fraction", message(`{"type":"a.b","n":1.5}`), "E-TOLD-ATTRIBUTE"},
		{"an attribute with a dash", message(`{"type":"a.b","my-name":"x"}`), "E-TOLD-ATTRIBUTE"},
		{"an empty id", message(`{"type":"a.b","id":" "}`), "E-TOLD-ATTRIBUTE"},
		{"a schema that is no URI", message(`{"type":"a.b","dataschema":"x y"}`), "E-TOLD-ATTRIBUTE"},
		{"a content type that is none", message(`{"type":"a.b","datacontenttype":"/"}`), "E-TOLD-ATTRIBUTE"},
		{"an id of 257", message(`{"type":"a.b","id":"` + strings.Repeat("x", 257) + `"}`), "E-TOLD-ATTRIBUTE"},
		{"9.1-E41 10,000 headers", message("{}", append(manyHeaders(10_000), "ce-type: com.example.x")...), "E-TOLD-SIZE"},
		{"9.1-E41 a header of 64 KiB", message("{}", "ce-type: com.example.x", "ce-big: "+strings.Repeat("x", 64<<10)), "E-TOLD-ATTRIBUTE"},
		{"33 extensions", message(`{"type":"a.b"` + many(33) + `}`), "E-TOLD-SIZE"},
		{"null", message(`null`), "E-TOLD-PLAIN"},
		{"a number", message(`5`), "E-TOLD-PLAIN"},
		{"a list in a list", message(`[[]]`), "E-TOLD-PLAIN"},
		{"msgpack of a number", message("\x05", "Content-Type: application/msgpack"), "E-TOLD-PLAIN"},
		{"msgpack of an extension", message("\x81\xa1a\xd4\x01\x00", "Content-Type: application/msgpack"), "E-TOLD-MSGPACK"},
		{"msgpack with keys that are numbers", message("\x81\x01\x02", "Content-Type: application/msgpack"), "E-TOLD-MSGPACK"},
		{"msgpack with a key twice", message("\x82\xa4type\xa3a.b\xa4type\xa3a.b", "Content-Type: application/msgpack"), "E-TOLD-DUPKEY"},
		{"msgpack not UTF-8", message("\x81\xa4type\xa1\xff", "Content-Type: application/msgpack"), "E-TOLD-UTF8"},
		{"msgpack NaN", message("\x82\xa4type\xa3a.b\xa4data\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "Content-Type: application/msgpack"), "E-TOLD-MSGPACK"},
		{"msgpack and more", message("\x80\x80", "Content-Type: application/msgpack"), "E-TOLD-MSGPACK"},
		{"msgpack array and more", message("\x91\x80\x80", "Content-Type: application/msgpack"), "E-TOLD-MSGPACK"},
		{"msgpack of depth 33", message(strings.Repeat("\x91", 40)+"\x01", "Content-Type: application/msgpack"), "E-TOLD-DEPTH"},
		{"nothing of msgpack", message("", "Content-Type: application/msgpack"), "E-TOLD-EMPTY"},
	} {
		b, p := Parse(c.m, Limits{})
		for _, item := range b.Items {
			p = item.Problem
		}
		if p == nil || p.Code != c.code {
			t.Errorf("%s: %v, want %s", c.name, p, c.code)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"x%d":"y"`, i)
	}
	return b.String()
}

// TestBatchIsEachAlone refuses of a batch what is wrong, and nothing else.
func TestBatchIsEachAlone(t *testing.T) {
	for media, body := range map[string]string{
		"application/json":     "[" + brief + `,{"type":"a.b","a":{}},` + brief + "]",
		"application/x-ndjson": brief + "\n{\n" + brief,
	} {
		b, p := Parse(message(body, "Content-Type: "+media), Limits{})
		if p != nil || len(b.Items) != 3 || b.Items[0].Problem != nil || b.Items[1].Problem == nil || b.Items[2].Problem != nil {
			t.Errorf("%s: %v %+v", media, p, b)
		}
	}
}

// TestLimits takes other limits than those that are usual.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		l    Limits
		code string
	}{{Limits{Bytes: 20}, "E-TOLD-SIZE"}, {Limits{Depth: 1}, "E-TOLD-DEPTH"}, {Limits{Events: 1}, "E-TOLD-BATCH"}} {
		b, p := Parse(message("["+brief+","+brief+"]"), c.l)
		if p == nil {
			p = b.Items[0].Problem
		}
		if p == nil || p.Code != c.code {
			t.Errorf("%+v: %v", c.l, p)
		}
	}
}

// spent returns how many bytes were allocated while f ran.
func spent(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestSmallLies spends little on bodies that declare or nest more than they have.
func TestSmallLies(t *testing.T) {
	for name, m := range map[string]Message{
		"array of 4 billion":   message("\xdd\xff\xff\xff\xff", "Content-Type: application/msgpack"),
		"text of 4 GB":         message("\xdb\xff\xff\xff\xff", "Content-Type: application/msgpack"),
		"map of 4 billion":     message("\x81\xa4data\xdf\xff\xff\xff\xff", "Content-Type: application/msgpack"),
		"a megabyte of arrays": message(strings.Repeat("\x91", 1<<20), "Content-Type: application/msgpack"),
		"a megabyte of [":      message(strings.Repeat("[", 1<<20)),
	} {
		if n := spent(func() { _, _ = Parse(m, Limits{}) }); n > 1<<20 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
}

// seeds are messages in all forms.
var seeds = []string{full, brief, "[" + full + "," + brief + "]", full + "\n" + brief, "[[[[", `{"a":`, "\x1f\x8b", "\xff", `{"type":"a.b","data_base64":"MQ=="}`,
	"\x82\xa4type\xa9node.gone\xa7subject\xa8node/n-1", "\x91\x80", "\xdd\xff\xff\xff\xff", "NaN", `{"type":"a.b","data":-0}`}

// fuzz reads anything as a message, and what could be read once more as it is
// written.
func fuzz(f *testing.F, media ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range media {
			in := Message{Header: map[string][]string{"Content-Type": {m}}, Body: body}
			var b Batch
			var p *publisher.Problem
			if n := spent(func() { b, p = Parse(in, Limits{}) }); n > 1<<20+uint64(500*len(body)) {
				t.Errorf("%d bytes for %d", n, len(body))
			}
			if p == nil && len(b.Items) == 0 || p != nil && len(b.Items) > 0 || len(b.Items) > Default.Events {
				t.Fatalf("%d events, %v", len(b.Items), p)
			}
			for _, item := range b.Items {
				if item.Problem == nil {
					again(t, item.Event)
				}
			}
		}
	})
}

// again fails if an event that was read cannot be written and read again.
func again(t *testing.T, ev publisher.Event) {
	text, err := json.Marshal(ev)
	if err != nil {
		t.Fatalf("%+v: %v", ev, err)
	}
	b, p := Parse(Message{Body: text}, Limits{Bytes: 10 << 20})
	if p == nil {
		p = b.Items[0].Problem
	}
	if p != nil {
		t.Fatalf("%s: %v", text, p)
	}
	twice, err := json.Marshal(b.Items[0].Event)
	if err != nil || string(twice) != string(text) {
		t.Fatalf("%s\n%s", text, twice)
	}
}

func FuzzJSON(f *testing.F) {
	fuzz(f, "application/json", "application/x-ndjson", "application/cloudevents-batch+json")
}

func FuzzMsgpack(f *testing.F) { fuzz(f, "application/msgpack") }

// manyHeaders are extension attributes in headers.
func manyHeaders(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("ce-x%d: 1", i))
	}
	return all
}
