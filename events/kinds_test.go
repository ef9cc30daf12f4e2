package events_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/wire"
)

// The kind of a CustomResourceDefinition goes through an event and its subject
// and is what it was, and is believed; what names another one is not.
func TestCustomKinds(t *testing.T) {
	kind := events.CustomKind("crd.example.com", "WidgetSet")
	if kind.Group() != "crd.example.com" || kind.Name() != "WidgetSet" || !kind.Custom() || slices.Contains(events.Kinds(), kind) {
		t.Fatalf("%s: group %s, name %s, custom %t", kind, kind.Group(), kind.Name(), kind.Custom())
	}
	if k := events.DaemonSet; k.Group() != "apps" || k.Name() != "DaemonSet" || k.Custom() {
		t.Errorf("%s: group %s, name %s, custom %t", k, k.Group(), k.Name(), k.Custom())
	}
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	ref := events.Ref{Kind: kind, Key: events.Key{Namespace: "a", Name: "w.1"}, UID: "u"}
	object := func(kind string) []byte {
		data, err := wire.Marshal(map[string]any{"apiVersion": "crd.example.com/v1", "kind": kind,
			"metadata": map[string]any{"name": "w.1", "namespace": "a", "uid": "u"}})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	e := events.Event{ID: ulid.ULID{1}, Type: events.ObjectType(kind, events.VerbCreated), At: time.Unix(1, 0).UTC(),
		Body: events.Object{Ref: ref, Data: object("WidgetSet")}}
	if want := events.Type("widgetset.crd.example.com.created"); e.Type != want {
		t.Errorf("type %s, want %s", e.Type, want)
	}
	subject, err := s.Of(e)
	if err != nil || subject != "rollcall.test.widgetset_crd_example_com.a.w_1" {
		t.Errorf("subject %s, %v", subject, err)
	}
	if of, key := events.Under(subject); of != strings.ToLower(string(kind)) || key != ref.Key {
		t.Errorf("%s is under %s %s", subject, of, key)
	}
	raw, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	back := events.Decode(raw)
	back.Subject = subject
	if code, why := events.Doubt(&back); code != "" || events.RefOf(back) != ref {
		t.Errorf("it is not believed: %s %s: %+v", code, why, back.Body)
	}
	for what, other := range map[string]func(e *events.Event){
		"a subject with dots": func(e *events.Event) { e.Subject = "rollcall.test.widgetset.crd.example.com.a.w_1" },
		"another group":       func(e *events.Event) { e.Subject = "rollcall.test.widgetset_crd_example_org.a.w_1" },
		"a type of no group":  func(e *events.Event) { e.Type = "widgetset.created" },
		"another kind in it":  func(e *events.Event) { e.Body = events.Object{Ref: ref, Data: object("Widget")} },
		"a kind with no group": func(e *events.Event) {
			e.Body = events.Object{Ref: events.Ref{Kind: "WidgetSet.", Key: ref.Key, UID: "u"}, Data: object("WidgetSet")}
		},
		"a name of a path": func(e *events.Event) {
			e.Body = events.Object{Ref: events.Ref{Kind: kind, Key: events.Key{Namespace: "a", Name: "system:w"}, UID: "u"}, Data: object("WidgetSet")}
		},
	} {
		raw, _ := events.Encode(e)
		x := events.Decode(raw)
		x.Subject = subject
		other(&x)
		raw, _ = events.Encode(x)
		subject := x.Subject
		x = events.Decode(raw)
		x.Subject = subject
		if code, _ := events.Doubt(&x); code == "" {
			t.Errorf("%s: it is believed", what)
		}
	}
}
