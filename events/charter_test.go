package events_test

import (
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
)

func chartered(c events.Charter) events.Event {
	return events.Event{ID: ulid.Make(), Type: events.Chartered, Body: c}
}

func TestCharterIsDoubted(t *testing.T) {
	with := func(f func(*events.Charter)) events.Event {
		c := fullCharter()
		f(&c)
		return chartered(c)
	}
	caused, told, misfit := chartered(fullCharter()), chartered(fullCharter()), chartered(fullCharter())
	caused.Cause.Seq = 1
	told.Told = &events.Told{Source: "ci", ID: "1", Type: "com.example.x"}
	misfit.Type = events.NoteTold
	for name, c := range map[string]struct {
		e    events.Event
		want string
	}{
		"a charter":     {chartered(fullCharter()), ""},
		"the least":     {chartered(events.Charter{Cluster: "x", Mode: events.Shadow}), ""},
		"no cluster":    {with(func(c *events.Charter) { c.Cluster = "" }), "E-EVT-CHARTER"},
		"a bell":        {with(func(c *events.Charter) { c.Cluster = "\a" }), "E-EVT-CHARTER"},
		"its version":   {with(func(c *events.Charter) { c.Version = "\x1b[2J" }), "E-EVT-CHARTER"},
		"epoch":         {with(func(c *events.Charter) { c.Epoch = -1 }), "E-EVT-CHARTER"},
		"mode":          {with(func(c *events.Charter) { c.Mode = "everything" }), "E-EVT-CHARTER"},
		"budget":        {with(func(c *events.Charter) { c.Budget = "much" }), "E-EVT-CHARTER"},
		"namespace":     {with(func(c *events.Charter) { c.Scope.Namespaces = []string{"A"} }), "E-EVT-CHARTER"},
		"namespaces":    {with(func(c *events.Charter) { c.Scope.Namespaces = make([]string, 1001) }), "E-EVT-CHARTER"},
		"selector":      {with(func(c *events.Charter) { c.Scope.Selector = "==" }), "E-EVT-CHARTER"},
		"of a command":  {caused, "E-EVT-CHARTER"},
		"told":          {told, "E-EVT-TOLD"},
		"another type":  {misfit, "E-EVT-TYPE"},
		"its subject":   {subjected(chartered(fullCharter()), "rollcall.c.charter._.charter"), ""},
		"a pod's":       {subjected(chartered(fullCharter()), "rollcall.c.pod.a.charter"), "E-EVT-SUBJECT"},
		"another's own": {subjected(chartered(fullCharter()), "rollcall.c.charter._.other"), "E-EVT-SUBJECT"},
	} {
		if code, why := events.Doubt(&c.e); code != c.want || (why == "") != (code == "") || strings.ContainsFunc(why, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%s: %q %q, want %q", name, code, why, c.want)
		}
	}
}

func subjected(e events.Event, subject string) events.Event {
	e.Subject = subject
	return e
}

// A log is about one cluster for ever, and no epoch of it comes back; a screen that
// was kept says the same.
func TestScreenKeepsTheCharter(t *testing.T) {
	s := events.NewScreen()
	for i, c := range []struct {
		charter events.Charter
		want    string
	}{
		{events.Charter{Cluster: "a", Mode: events.Shadow}, ""},
		{events.Charter{Cluster: "b", Mode: events.Shadow}, "E-EVT-CHARTER"},
		{events.Charter{Cluster: "a", Epoch: 2, Mode: events.Control}, ""},
		{events.Charter{Cluster: "a", Epoch: 1, Mode: events.Control}, "E-EVT-CHARTER"},
		{events.Charter{Cluster: "a", Epoch: 2, Mode: events.Shadow}, ""},
	} {
		e := chartered(c.charter)
		e.Seq = events.Seq(i + 1)
		if got := believed(s.Take(e)); got != c.want {
			t.Errorf("#%d: %q, want %q", i+1, got, c.want)
		}
		kept := s.Keep()
		var err error
		if s, err = kept.Screen(); err != nil {
			t.Fatal(err)
		}
	}
	if c := s.Charter(); c == nil || c.Epoch != 2 || c.Mode != events.Shadow {
		t.Errorf("the charter is %+v", c)
	}
}

func TestScope(t *testing.T) {
	in := events.Scope{Namespaces: []string{"a", "b"}, Selector: "tier=x"}.Match()
	for _, c := range []struct {
		ns, tier string
		want     bool
	}{{"a", "x", true}, {"b", "x", true}, {"c", "x", false}, {"a", "y", false}} {
		if in(events.Key{Namespace: c.ns, Name: "ds"}, map[string]string{"tier": c.tier}) != c.want {
			t.Errorf("%+v", c)
		}
	}
	if !(events.Scope{}).Match()(events.Key{Namespace: "c", Name: "ds"}, nil) {
		t.Error("the zero scope is not everything")
	}
}
