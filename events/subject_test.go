package events_test

import (
	"strings"
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

// A name is one token of a subject, and two names are never the same one: names of
// roles may have what separates tokens, what stands for it, and what escapes it.
func TestNamesComeBackFromSubjects(t *testing.T) {
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, c := range []struct {
		kind events.Kind
		name string
		want string // the last token; empty: the name is none
	}{
		{"ClusterRole", "system:node", "system:node"},
		{"ClusterRole", "a.b", "a_b"},
		{"ClusterRole", "a_b", "a%5Fb"},
		{"ClusterRole", "Deploys > all * of it", "Deploys%20%3E%20all%20%2A%20of%20it"},
		{"ClusterRole", "_", "%5F"},
		{"ClusterRole", ".a.", "_a_"},
		{"ClusterRole", "größe", "gr%C3%B6%C3%9Fe"},
		{"ClusterRole", "a:5F", "a:5F"},
		{"ClusterRole", "a%5F", ""}, // Kubernetes has none with "%" or "/"
		{"ClusterRole", "a/b", ""},
		{"ClusterRole", "..", ""},
		{"ClusterRole", "a\nb", ""},
		{events.Node, "system:node", ""},
		{events.Node, "A", ""},
		{events.Node, "a.b", "a_b"},
	} {
		ref := events.Ref{Kind: c.kind, Key: events.Key{Name: c.name}, UID: "u"}
		got, err := s.Of(events.Event{Body: events.Object{Ref: ref}})
		if c.want == "" {
			if err == nil || events.CheckName(c.kind, c.name) == "" {
				t.Errorf("%s %q is a name: %q", c.kind, c.name, got)
			}
			continue
		}
		if err != nil || !strings.HasSuffix(got, "._."+c.want) {
			t.Errorf("%s %q: subject %q, %v; want %q", c.kind, c.name, got, err, c.want)
			continue
		}
		if of, back := events.Under(got); of != strings.ToLower(string(c.kind)) || back != ref.Key {
			t.Errorf("%s %q comes back as %s %q", c.kind, c.name, of, back)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%q and %q have the subject %q", other, c.name, got)
		}
		seen[got] = c.name
		e := events.Event{Type: events.ObjectType(c.kind, events.VerbDeleted), Subject: got, Body: events.Gone{Ref: ref}}
		if code, why := events.Doubt(&e); code != "" {
			t.Errorf("%s %q: %s: %s", c.kind, c.name, code, why)
		}
	}
}
