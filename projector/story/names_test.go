package story

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

func TestName(t *testing.T) {
	for want, r := range map[string]events.Ref{
		"node/n1":           {Kind: events.Node, Key: events.Key{Name: "n1"}},
		"ds/logging/f":      {Kind: events.DaemonSet, Key: events.Key{Namespace: "logging", Name: "f"}},
		"ns/logging":        {Kind: events.Namespace, Key: events.Key{Name: "logging"}},
		"pc/high":           {Kind: events.PriorityClass, Key: events.Key{Name: "high"}},
		"configmap/ns/name": {Kind: "ConfigMap", Key: events.Key{Namespace: "ns", Name: "name"}},
		"":                  {},
	} {
		if got := Name(r); got != want {
			t.Errorf("Name(%+v) = %q, want %q", r, got, want)
		}
	}
}

// An event that has no JSON form does not end a stream of them, and one cannot
// pass for another.
func TestJSONWithoutForm(t *testing.T) {
	for raw, code := range map[string]string{
		"":                         "E-EVT-EMPTY",
		"hello \x1b[2J":            "E-EVT-MSGPACK",
		"\x81\xa1v\xc1":            "E-EVT-MSGPACK",
		"\x82\xa1v\x01\xa3seq\x07": "E-EVT-KIND",
		"\x81\xa1v\x63":            "E-EVT-VERSION",
		"\x84\xa1v\x01\xa4type\xa1t\xa3ref\x82\xa4kind\xa1K\xa4name\xa1n\xa6object\x81\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00": "E-EVT-OBJECT",
	} {
		e := events.Decode([]byte(raw))
		e.Seq, e.Stored = 3, time.Unix(0, 1)
		var got struct {
			Seq        int
			V          int
			Stored     time.Time
			Unreadable struct {
				Code string
				Raw  []byte
				Text string
			}
		}
		out := JSON(e)
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if got.Seq != 3 || !got.Stored.Equal(time.Unix(0, 1)) || got.Unreadable.Code != code {
			t.Errorf("%s, want %s", out, code)
		}
		if newer := code == "E-EVT-VERSION"; newer && (got.V != 99 || got.Unreadable.Raw != nil) || !newer && string(got.Unreadable.Raw)+got.Unreadable.Text != raw {
			t.Errorf("%s: not the bytes, or the fields", out)
		}
	}
	if out := JSON(events.Event{Seq: 3, Raw: []byte("hello"), Body: events.Unreadable{Code: "E-EVT-MSGPACK"}}); !strings.Contains(string(out), `"text":"hello"`) {
		t.Errorf("text is not told as such: %s", out)
	}
	if got := New().Tell(events.Event{Seq: 3}); len(got) != 1 || !strings.HasPrefix(got[0].What, "quarantined: E-EVT-KIND") {
		t.Errorf("an event without a body is told as %+v", got)
	}
}

// The short story of a pod that becomes Ready, over and over.
func BenchmarkTell(b *testing.B) {
	pod := func(ready string) events.Event {
		j := `{"metadata":{"name":"p","namespace":"ns","labels":{"a":"b","controller-revision-hash":"x"},"ownerReferences":[{"kind":"DaemonSet","name":"f","uid":"u","controller":true}]},` +
			`"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i:1","env":[{"name":"A","value":"1"}],"volumeMounts":[{"name":"v","mountPath":"/v"}]}],"volumes":[{"name":"v","emptyDir":{}}]},` +
			`"status":{"phase":"Running","conditions":[{"type":"Initialized","status":"True"},{"type":"Ready","status":"` + ready + `"}],"containerStatuses":[{"name":"c","ready":true,"restartCount":0,"state":{"running":{}}}]}}`
		return events.Event{Seq: 1, Type: "pod.updated", Body: events.Object{Ref: events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "ns", Name: "p"}}, Data: mustJSON(b, j)}}
	}
	flip := []events.Event{pod("True"), pod("False")}
	tl := New()
	for i := 0; b.Loop(); i++ {
		if tl.Tell(flip[i%2])[0].What == "" {
			b.Fatal("nothing told")
		}
	}
}
