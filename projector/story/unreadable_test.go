package story

import (
	"encoding/json"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/wire"
)

// What Kubernetes' decoder refuses is said to be so, whether it is new or a
// change, and no value of a Secret with it.
//
// finding H5
func TestUnreadable(t *testing.T) {
	object := func(k events.Kind, text string) events.Object {
		data, err := wire.Marshal(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		return events.Object{Ref: events.Ref{Kind: k, Key: events.Key{Name: "x"}, UID: "u"}, Data: data}
	}
	teller := New()
	for _, c := range []struct {
		verb   string
		object events.Object
		want   string
	}{
		{events.VerbCreated, object(events.Node, `{"metadata":{"name":"x","uid":"u"},"status":{"capacity":{"cpu":"NaN"}}}`), "the API cannot read it: "},
		{events.VerbUpdated, object(events.Node, `{"metadata":{"name":"x","uid":"u"},"status":{"capacity":{"cpu":"2"}}}`), ""},
		{events.VerbUpdated, object(events.Node, `{"metadata":{"name":"x","uid":"u"},"status":{"capacity":{"cpu":7.5,"memory":{}}}}`), "the API cannot read it: "},
		{events.VerbCreated, object(events.Secret, `{"metadata":{"name":"x","uid":"u"},"data":{"key":4711}}`), "the API cannot read it"},
	} {
		e := teller.Tell(events.Event{Type: events.ObjectType(c.object.Kind, c.verb), Body: c.object})[0]
		if got := strings.Contains(e.What, "cannot read"); got != (c.want != "") || !strings.Contains(e.What, c.want) || strings.Contains(e.What, "4711") {
			t.Errorf("%s %s: %q, want %q", c.object.Kind, c.verb, e.What, c.want)
		}
	}
}
