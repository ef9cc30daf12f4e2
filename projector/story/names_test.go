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

// An event whose object has no JSON form does not end a stream of them.
func TestJSONWithoutForm(t *testing.T) {
	ref := events.Ref{Kind: events.Node, Key: events.Key{Name: "n"}}
	bad := []byte{0x81, 0xa1, 'x', 0xc1}
	for _, body := range []events.Body{events.Object{Ref: ref, Data: bad}, events.Gone{Ref: ref, Data: bad}} {
		out, err := JSON(events.Event{Seq: 3, Stored: time.Unix(0, 1), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Seq        int
			Stored     time.Time
			Object     any
			Unreadable struct {
				Code string
				Raw  []byte
			}
		}
		if err := json.Unmarshal(out, &e); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if e.Seq != 3 || !e.Stored.Equal(time.Unix(0, 1)) || e.Object != nil ||
			e.Unreadable.Code != "E-EVT-OBJECT" || string(e.Unreadable.Raw) != string(bad) {
			t.Errorf("%s", out)
		}
	}
	if _, err := JSON(events.Event{Seq: 3}); err == nil || !strings.Contains(err.Error(), "event 3") {
		t.Errorf("an event without a body: %v", err)
	}
	if got := New().Tell(events.Event{Seq: 3}); len(got) != 1 || !strings.HasPrefix(got[0].What, "quarantined: E-EVT-KIND") {
		t.Errorf("an event without a body is told as %+v", got)
	}
	out, err := JSON(events.Event{Body: events.Gone{Ref: ref, Data: []byte{0x80}}})
	if err != nil || !strings.Contains(string(out), `"gone":{}`) {
		t.Errorf("%s, %v", out, err)
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
