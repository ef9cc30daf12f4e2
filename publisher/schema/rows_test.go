package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/schema"
)

// sent is a body that comes to the gate, and what is wrong with it.
type sent struct {
	name, media, body string
	code              string // "": it can be told
	pointer, hint     string // of one of the errors
	status            int    // 0: 400 of the envelope's, 422 of the schema's
}

const jsonMedia = "application/json"

// node is an event about a node with data.
func node(data string) string {
	return `{"type":"node.observed","subject":"node/n-1","data":` + data + `}`
}

func pod(data string) string {
	return `{"type":"pod.status","subject":"pod/logging/agent-1","data":` + data + `}`
}

func labels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"l%d":"v"`, i)
	}
	return `{"labels":{` + b.String()[1:] + `}}`
}

// catalogue is the catalogue of bad input, as far as it comes through the gate;
// the numbers are those of its section on events.
var catalogue = []sent{
	{name: "9.1-E1 empty", body: "", code: "E-TOLD-EMPTY"},
	{name: "9.1-E1 spaces", body: " \n", code: "E-TOLD-EMPTY"},
	{name: "9.1-E1 empty array", body: "[]", code: "E-TOLD-EMPTY"},
	{name: "9.1-E2 too large", body: node(`{"annotations":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`), code: "E-TOLD-SIZE", status: 413},
	{name: "9.1-E3 no JSON", body: "hello", code: "E-TOLD-JSON"},
	{name: "9.1-E4 cut", body: `{"type":"node.gone"`, code: "E-TOLD-JSON"},
	{name: "9.1-E5 two values", body: `{} {}`, code: "E-TOLD-JSON"},
	{name: "9.1-E6 depth 33", body: node(strings.Repeat("[", 32) + strings.Repeat("]", 32)), code: "E-TOLD-DEPTH"},
	{name: "9.1-E6 depth 32", body: `{"type":"com.example.x","data":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`},
	{name: "9.1-E6 deeper than Go", body: node(strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)), code: "E-TOLD-DEPTH"},
	{name: "9.1-E7 key twice", body: `{"type":"node.gone","type":"node.gone"}`, code: "E-TOLD-DUPKEY"},
	{name: "9.1-E7 key twice, deep", body: node(`{"labels":{"a":"1","\u0061":"2"}}`), code: "E-TOLD-DUPKEY"},
	{name: "9.1-E7 key twice, in an array", body: node(`{"taints":[{"key":"a","effect":"NoExecute","key":"b"}]}`), code: "E-TOLD-DUPKEY"},
	{name: "9.1-E8 case of a key", body: `{"TYPE":"node.gone","subject":"node/n-1"}`, code: "E-TOLD-ATTRIBUTE", pointer: "/TYPE", hint: `"type"`},
	{name: "9.1-E8 case of a field", body: node(`{"taints":[{"Key":"a","effect":"NoExecute"}]}`), code: "E-TOLD-DATA", pointer: "/data/taints/0/key", hint: `"key" by "Key"`},
	{name: "9.1-E9 unknown attribute", body: `{"type":"node.gone","subject":"node/n-1","nodes":{"a":1}}`, code: "E-TOLD-ATTRIBUTE", pointer: "/nodes", hint: "into data"},
	{name: "9.1-E9 unknown field", body: node(`{"rack":{"row":7}}`)},
	{name: "9.1-E10 no type", body: `{"specversion":"1.0","id":"1","source":"/x"}`, code: "E-TOLD-ATTRIBUTE", pointer: "/type"},
	{name: "9.1-E10 empty type", body: `{"type":"","subject":"node/n-1"}`, code: "E-TOLD-ATTRIBUTE", pointer: "/type"},
	{name: "9.1-E11 specversion", body: `{"specversion":"99","type":"node.gone","subject":"node/n-1"}`, code: "E-TOLD-VERSION"},
	{name: "9.1-E11 schema", body: `{"type":"node.gone","subject":"node/n-1","dataschema":"https://h/v1/schemas/node.gone/99.json"}`, code: "E-TOLD-VERSION", pointer: "/dataschema", status: 422},
	{name: "9.1-E11 schema of another type", body: `{"type":"node.gone","subject":"node/n-1","dataschema":"https://h/v1/schemas/node.observed/1.json"}`, code: "E-TOLD-VERSION", status: 422},
	{name: "9.1-E11 this schema", body: `{"type":"node.gone","subject":"node/n-1","dataschema":"https://h/v1/schemas/node.gone/1.json"}`},
	{name: "9.1-E12 unknown type", body: `{"type":"pod.exploded","subject":"pod/a/b"}`, code: "E-TOLD-TYPE", hint: "pod.status, "},
	{name: "9.1-E12 misspelt type", body: `{"type":"node.observd","subject":"node/n-1"}`, code: "E-TOLD-TYPE", hint: "did you mean node.observed, node.gone, node.condition?"},
	{name: "9.1-E12 misspelt type of ours as a note", body: `{"type":"nodes.observed","subject":"node/n-1"}`, code: "E-TOLD-TYPE", hint: "node.observed"},
	{name: "9.1-E12 no dot", body: `{"type":"deploy"}`, code: "E-TOLD-TYPE"},
	{name: "9.1-E12 empty label", body: `{"type":"com.example..started"}`, code: "E-TOLD-TYPE"},
	{name: "9.1-E12 wildcard", body: `{"type":"com.example.>"}`, code: "E-TOLD-TYPE"},
	{name: "9.1-E12 object", body: `{"type":"daemonset.updated","subject":"ds/a/b"}`, code: "E-TOLD-OBJECT"},
	{name: "9.1-E12 object, another way", body: `{"type":"Pods.Deleted","subject":"pod/a/b"}`, code: "E-TOLD-OBJECT"},
	{name: "9.1-E13 UTF-8 in a name", body: "{\"type\":\"node.gone\",\"subject\":\"node/n-\xff\"}", code: "E-TOLD-UTF8"},
	{name: "9.1-E13 half a pair", body: node(`{"annotations":{"a":"\ud83d"}}`), code: "E-TOLD-UTF8"},
	{name: "9.1-E13 a whole pair", body: node(`{"annotations":{"a":"\ud83d\ude00 \ufffd"}}`)},
	{name: "9.1-E14 NUL in a subject", body: `{"type":"com.example.x","subject":"a\u0000b"}`, code: "E-TOLD-ATTRIBUTE", pointer: "/subject", hint: "U+0000"},
	{name: "9.1-E14 ESC in a source", body: `{"type":"com.example.x","source":"\u001b[2J"}`, code: "E-TOLD-ATTRIBUTE", pointer: "/source"},
	{name: "9.1-E14 U+202E in an id", body: `{"type":"com.example.x","id":"\u202eab"}`, code: "E-TOLD-ATTRIBUTE", pointer: "/id"},
	{name: "9.1-E15 star", body: `{"type":"node.gone","subject":"node/*"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E15 wildcard", body: `{"type":"node.gone","subject":"node/>"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E15 space", body: `{"type":"node.gone","subject":"node/a b"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E15 two dots", body: `{"type":"node.gone","subject":"node/a..b"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E15 a dot before", body: `{"type":"node.gone","subject":"node/.a"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E15 a dot behind", body: `{"type":"node.gone","subject":"node/a."}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E15 tab", body: `{"type":"node.gone","subject":"node/a\tb"}`, code: "E-TOLD-ATTRIBUTE"},
	{name: "9.1-E15 newline", body: `{"type":"node.gone","subject":"node/a\nb"}`, code: "E-TOLD-ATTRIBUTE"},
	{name: "9.1-E16 name of 254", body: `{"type":"node.gone","subject":"node/` + strings.Repeat("a", 254) + `"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E16 subject of 5,000", body: `{"type":"com.example.x","subject":"` + strings.Repeat("a", 5000) + `"}`, code: "E-TOLD-ATTRIBUTE", status: 413},
	{name: "9.1-E17 upper case, underscore", body: `{"type":"node.gone","subject":"node/N_1"}`, code: "E-TOLD-SUBJECT", hint: `"node/n-1"`},
	{name: "9.1-E17 unicode", body: `{"type":"node.gone","subject":"node/knöten"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E18 other kind", body: `{"type":"node.gone","subject":"pod/a/b"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E18 no kind", body: `{"type":"node.gone","subject":"n-1"}`, code: "E-TOLD-SUBJECT", hint: `"node/n-1"`},
	{name: "9.1-E18 no subject", body: `{"type":"hold.lifted"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E18 pod without a namespace", body: `{"type":"pod.status","subject":"pod/agent-1","data":{}}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E18 hold with a dot", body: `{"type":"hold.lifted","subject":"hold/a.b"}`, code: "E-TOLD-SUBJECT"},
	{name: "9.1-E19 uid of 5", body: pod(`{"uid":"12345"}`), code: "E-TOLD-DATA", pointer: "/data/uid"},
	{name: "9.1-E19 uid of zeros", body: pod(`{"uid":"00000000-0000-0000-0000-000000000000"}`), code: "E-TOLD-DATA", pointer: "/data/uid"},
	{name: "9.1-E23 year 0", body: `{"type":"com.example.x","time":"0000-01-01T00:00:00Z"}`, code: "E-TOLD-TIME"},
	{name: "9.1-E23 zero time of Go", body: `{"type":"com.example.x","time":"0001-01-01T00:00:00Z"}`, code: "E-TOLD-TIME"},
	{name: "9.1-E23 year 10000", body: `{"type":"com.example.x","time":"10000-01-01T00:00:00Z"}`, code: "E-TOLD-TIME"},
	{name: "9.1-E23 yesterday", body: `{"type":"com.example.x","time":"yesterday"}`, code: "E-TOLD-TIME"},
	{name: "9.1-E23 offset", body: `{"type":"com.example.x","time":"2026-11-26T14:03:05+25:00"}`, code: "E-TOLD-TIME"},
	{name: "9.1-E23 leap second", body: `{"type":"com.example.x","time":"2026-11-26T23:59:60Z"}`, code: "E-TOLD-TIME"},
	{name: "9.1-E23 one digit", body: `{"type":"com.example.x","time":"2026-11-26T1:03:05Z"}`, code: "E-TOLD-TIME"},
	{name: "9.1-E23 number", body: `{"type":"com.example.x","time":1764165785}`, code: "E-TOLD-ATTRIBUTE", pointer: "/time"},
	{name: "9.1-E23 in data", body: node(`{"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-11-26 14:03:05"}]}`), code: "E-TOLD-DATA", pointer: "/data/conditions/0/lastTransitionTime", hint: `"2026-11-26T14:03:05Z"`},
	{name: "9.1-E23 until in seconds", body: `{"type":"hold.placed","subject":"hold/x","data":{"reason":"r","select":{"nodes":["n-1"]},"until":"1764165785"}}`, code: "E-TOLD-DATA", pointer: "/data/until", hint: `"2025-11-26T14:03:05Z"`},
	{name: "9.1-E25 negative", body: pod(`{"containers":[{"name":"a","state":"running","restarts":-1}]}`), code: "E-TOLD-DATA", pointer: "/data/containers/0/restarts"},
	{name: "9.1-E25 1e3", body: pod(`{"containers":[{"name":"a","state":"running","restarts":1e3}]}`), code: "E-TOLD-DATA", pointer: "/data/containers/0/restarts", hint: `"1000"`},
	{name: "9.1-E25 2^31", body: pod(`{"containers":[{"name":"a","state":"running","restarts":2147483648}]}`), code: "E-TOLD-DATA", pointer: "/data/containers/0/restarts"},
	{name: "9.1-E25 2^64", body: `{"type":"com.example.x","data":{"n":18446744073709551616}}`, code: "E-TOLD-NUMBER"},
	{name: "9.1-E25 2^64-1", body: `{"type":"com.example.x","data":{"n":18446744073709551615}}`},
	{name: "9.1-E25 text", body: pod(`{"containers":[{"name":"a","state":"running","restarts":"7"}]}`), code: "E-TOLD-DATA", pointer: "/data/containers/0/restarts", hint: "7"},
	{name: "9.1-E26 failed and ready", body: pod(`{"phase":"Failed","ready":true}`), code: "E-TOLD-DATA", pointer: "/data/ready"},
	{name: "9.1-E32 taint effect", body: node(`{"taints":[{"key":"a","effect":"NoSchedul"}]}`), code: "E-TOLD-DATA", pointer: "/data/taints/0/effect", hint: `did you mean "NoSchedule"?`},
	{name: "9.1-E33 10,000 labels", body: node(labels(10_000)), code: "E-TOLD-DATA", pointer: "/data/labels"},
	{name: "9.1-E34 label value of 64", body: node(`{"labels":{"a":"` + strings.Repeat("x", 64) + `"}}`), code: "E-TOLD-DATA", pointer: "/data/labels/a", hint: strings.Repeat("x", 63) + `"`},
	{name: "9.1-E34 label value with -", body: node(`{"labels":{"a":"-x"}}`), code: "E-TOLD-DATA", pointer: "/data/labels/a", hint: `"x"`},
	{name: "9.1-E34 label name", body: node(`{"labels":{"a b":"x"}}`), code: "E-TOLD-DATA", pointer: "/data/labels/a b", hint: `"a-b"`},
	{name: "9.1-E34 number", body: node(`{"labels":{"a":5}}`), code: "E-TOLD-DATA", pointer: "/data/labels/a", hint: `"5"`},
	{name: "9.1-E42 gzip", body: "\x1f\x8b\x08\x00\x00\x00\x00\x00", code: "E-TOLD-MEDIA", status: 415},
	{name: "9.1-E42 msgpack as JSON", body: "\xdd\xff\xff\xff\xff", code: "E-TOLD-UTF8"},
	{name: "9.1-E42 msgpack that lies", media: "application/msgpack", body: "\xdd\xff\xff\xff\xff", code: "E-TOLD-MSGPACK"},
	{name: "9.1-E42 msgpack map that lies", media: "application/msgpack", body: "\xdf\x7f\xff\xff\xff", code: "E-TOLD-MSGPACK"},
	{name: "9.1-E43 NaN", body: node(`{"capacity":{"cpu":NaN}}`), code: "E-TOLD-NUMBER"},
	{name: "9.1-E43 Infinity", body: node(`{"capacity":{"cpu":-Infinity}}`), code: "E-TOLD-NUMBER"},
	{name: "9.1-E43 1e999", body: `{"type":"com.example.x","data":1e999}`, code: "E-TOLD-NUMBER"},
	{name: "9.1-E43 -0", body: pod(`{"containers":[{"name":"a","state":"running","restarts":-0}]}`), code: "E-TOLD-DATA", pointer: "/data/containers/0/restarts"},
	{name: "9.1-E43 1.0", body: pod(`{"containers":[{"name":"a","state":"running","restarts":1.0}]}`), code: "E-TOLD-DATA", pointer: "/data/containers/0/restarts", hint: `"1"`},
	{name: "9.1-E44 a megabyte of [", body: strings.Repeat("[", 1<<20), code: "E-TOLD-DEPTH"},

	{name: "quantity with words", body: node(`{"capacity":{"cpu":"4 cores"}}`), code: "E-TOLD-DATA", pointer: "/data/capacity/cpu", hint: `did you mean "4"?`},
	{name: "quantity in GB", body: node(`{"capacity":{"memory":"8 GB"}}`), code: "E-TOLD-DATA", pointer: "/data/capacity/memory", hint: `did you mean "8G"?`},
	{name: "quantity in gib", body: node(`{"capacity":{"memory":"16gib"}}`), code: "E-TOLD-DATA", pointer: "/data/capacity/memory", hint: `did you mean "16Gi"?`},
	{name: "negative quantity", body: node(`{"capacity":{"cpu":"-1"}}`), code: "E-TOLD-DATA", pointer: "/data/capacity/cpu"},
	{name: "quantity as a number", body: node(`{"capacity":{"cpu":4,"memory":0.5e9,"pods":null}}`)},
	{name: "status in lower case", body: node(`{"conditions":[{"type":"Ready","status":"true"}]}`), code: "E-TOLD-DATA", pointer: "/data/conditions/0/status", hint: `"True"`},
	{name: "status as a truth value", body: node(`{"conditions":[{"type":"Ready","status":true}]}`), code: "E-TOLD-DATA", pointer: "/data/conditions/0/status", hint: `"True"`},
	{name: "ready as text", body: pod(`{"ready":"True"}`), code: "E-TOLD-DATA", pointer: "/data/ready", hint: "did you mean true?"},
	{name: "a list as one", body: node(`{"taints":{"key":"a","effect":"NoExecute"}}`), code: "E-TOLD-DATA", pointer: "/data/taints", hint: "[ ]"},
	{name: "taint twice", body: node(`{"taints":[{"key":"a","effect":"NoExecute"},{"key":"a","effect":"NoExecute","value":"x"}]}`), code: "E-TOLD-DATA", pointer: "/data/taints/1"},
	{name: "container twice", body: pod(`{"containers":[{"name":"a","state":"running"},{"name":"a","state":"waiting"}]}`), code: "E-TOLD-DATA", pointer: "/data/containers/1"},
	{name: "data of a list", body: node(`[]`), code: "E-TOLD-DATA", pointer: "/data"},
	{name: "hold of nothing", body: `{"type":"hold.placed","subject":"hold/x","data":{"reason":"r","select":{}}}`, code: "E-TOLD-DATA", pointer: "/data/select"},
	{name: "hold of an empty list", body: `{"type":"hold.placed","subject":"hold/x","data":{"reason":"r","select":{"nodes":[]}}}`, code: "E-TOLD-DATA", pointer: "/data/select/nodes"},
	{name: "hold of a misspelt list", body: `{"type":"hold.placed","subject":"hold/x","data":{"reason":"r","select":{"daemonsets":["a/b"]}}}`, code: "E-TOLD-DATA", pointer: "/data/select", hint: `"daemonSets"`},
	{name: "hold without a reason", body: `{"type":"hold.placed","subject":"hold/x","data":{"select":{"nodes":["n-1"]}}}`, code: "E-TOLD-DATA", pointer: "/data/reason"},
	{name: "hold of a bad selector", body: `{"type":"hold.placed","subject":"hold/x","data":{"reason":"r","select":{"labels":"a in b"}}}`, code: "E-TOLD-DATA", pointer: "/data/select/labels"},
	{name: "hold without data", body: `{"type":"hold.placed","subject":"hold/x"}`, code: "E-TOLD-DATA", pointer: "/data/reason"},
	{name: "note about what nobody knows", body: `{"type":"com.example.x","subject":"pipelines/7"}`},
	{name: "note about a DaemonSet without namespace", body: `{"type":"com.example.x","subject":"ds/agent"}`, code: "E-TOLD-SUBJECT"},
	{name: "note about two", body: `{"type":"com.example.x","subject":"node/n-1,ds/a/b","data":"done"}`},
	{name: "note about a bad object", body: `{"type":"com.example.x","data":{"objects":["node/A"]}}`, code: "E-TOLD-DATA", pointer: "/data/objects/0", hint: `"node/a"`},
	{name: "record of a log shipper", body: `[{"date":1764165785.1,"log":"started"}]`, code: "E-TOLD-PLAIN"},
	{name: "text", media: "text/plain", body: "hello", code: "E-TOLD-MEDIA", status: 415},
	{name: "bad content type", media: "/", body: "{}", code: "E-TOLD-MEDIA", status: 415},
}

// judge says what the gate says of a body before it asks a cluster.
func judge(media, body string) (warnings []string, p *publisher.Problem) {
	b, p := envelope.Parse(envelope.Message{Header: map[string][]string{"Content-Type": {media}}, Body: []byte(body)}, envelope.Limits{})
	for _, item := range b.Items {
		if p = item.Problem; p == nil {
			warnings, p = schema.Validate(item.Event)
		}
		if p != nil {
			return warnings, p
		}
	}
	return warnings, p
}

// TestCatalogue says of each bad input what is wrong with it, where, and what may
// have been meant.
func TestCatalogue(t *testing.T) {
	for _, c := range catalogue {
		media := c.media
		if media == "" {
			media = jsonMedia
		}
		_, p := judge(media, c.body)
		if c.code == "" {
			if p != nil {
				t.Errorf("%s: %v %+v", c.name, p, p.Errors)
			}
			continue
		}
		want := c.status
		switch {
		case want != 0:
		case c.code == "E-TOLD-DATA" || c.code == "E-TOLD-SUBJECT" || c.code == "E-TOLD-TYPE" || c.code == "E-TOLD-OBJECT":
			want = 422
		default:
			want = 400
		}
		if p == nil || p.Code != c.code || p.Status != want {
			t.Errorf("%s: %+v, want %d %s", c.name, p, want, c.code)
			continue
		}
		if len(p.Detail) > 500 || strings.ContainsAny(p.Detail, "\n\x1b\x00") || p.Title == "" {
			t.Errorf("%s: %q is no line", c.name, p.Detail)
		}
		found := c.pointer == "" && c.hint == ""
		for _, e := range p.Errors {
			found = found || (c.pointer == "" || e.Pointer == c.pointer) && strings.Contains(e.Hint, c.hint)
		}
		if !found {
			t.Errorf("%s: %+v, want %s %s", c.name, p.Errors, c.pointer, c.hint)
		}
	}
}

// TestWarnings tells of fields that are kept and do nothing.
func TestWarnings(t *testing.T) {
	w, p := judge(jsonMedia, node(`{"capcity":{"cpu":"4"},"rack":7}`))
	if p != nil || len(w) != 2 || !strings.Contains(w[0], `did you mean "capacity"?`) || strings.Contains(w[1], "did you") {
		t.Errorf("%q, %v", w, p)
	}
}

// TestManyErrors bounds what a refusal lists and repeats.
func TestManyErrors(t *testing.T) {
	_, p := judge(jsonMedia, node(`{"taints":[`+strings.Repeat(`{"key":"`+strings.Repeat("k", 500)+` ","effect":"x"},`, 900)+`{}]}`))
	if p == nil || len(p.Errors) != 20 || len(p.Error()) > 1000 {
		t.Errorf("%v", p)
	}
}

// FuzzValidate holds that what is wrong is told within bounds.
func FuzzValidate(f *testing.F) {
	for _, c := range catalogue {
		if c.media == "" && len(c.body) < 1000 {
			f.Add(c.body)
		}
	}
	for _, row := range schema.Types() {
		f.Add(string(row.Example))
	}
	f.Fuzz(func(t *testing.T, body string) {
		if _, p := judge(jsonMedia, body); p != nil && (p.Code == "" || p.Detail == "" || len(p.Error()) > 1500 || len(p.Errors) > 20) {
			t.Errorf("%d errors, %d bytes: %v", len(p.Errors), len(p.Error()), p)
		}
	})
}
