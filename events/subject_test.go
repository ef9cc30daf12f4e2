package events_test

import (
	"testing"

	"rollcall/events"
)

// A name that cannot be a token of a subject is refused before it is one.
func TestNamesOfSubjects(t *testing.T) {
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key  events.Key
		want string
	}{
		{events.Key{Name: "n.1"}, "rollcall.test.node._.n_1"},
		{events.Key{Namespace: "a", Name: "b"}, "rollcall.test.node.a.b"},
		{events.Key{}, ""},
		{events.Key{Namespace: "a"}, ""},
		{events.Key{Name: ">"}, ""},
		{events.Key{Namespace: "a b", Name: "c"}, ""},
	} {
		got, err := s.Of(events.Event{Body: events.Object{Ref: events.Ref{Kind: events.Node, Key: c.key}}})
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: subject %q, %v; want %q", c.key, got, err, c.want)
		}
	}
}
