package events_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

// TestToldID: every part tells, and none can stand for another.
func TestToldID(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "b", "d"}, {"e", "b", "c"}} {
		seen[events.ToldID(x[0], x[1], x[2]).String()] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d ids of six", len(seen))
	}
	if a, b := events.ToldID("a", "b", "c"), events.ToldID("a", "b", "c"); a != b {
		t.Errorf("%s and %s", a, b)
	}
}

// TestDoubtTold: what nobody can have told is not believed.
func TestDoubtTold(t *testing.T) {
	fact := func() events.Event {
		return told(events.Event{Type: "node.updated", Body: bodies0}, events.ToldNodeCondition)
	}
	hold := func(change func(*events.Hold)) events.Event {
		h := fullHold()
		change(&h)
		return told(events.Event{Type: events.HoldPlaced, Body: h}, "hold.placed")
	}
	lifted := func(owner string) events.Event {
		return told(events.Event{Type: events.HoldLifted, Body: events.Lifted{Owner: owner, Name: "x"}}, "hold.lifted")
	}
	note := func(typ string, about ...events.Ref) events.Event {
		return told(events.Event{Type: events.NoteTold, Body: events.Note{Objects: about}}, typ)
	}
	with := func(e events.Event, f func(*events.Event)) events.Event { f(&e); return e }
	by := func(e events.Event, source string) events.Event {
		e.Told.Source, e.ID = source, events.ToldID(source, e.Told.From, e.Told.ID)
		return e
	}
	same := func(*events.Hold) {}
	const bad = "E-EVT-TOLD"
	for name, c := range map[string]struct {
		e    events.Event
		want string
	}{
		"a condition":                {fact(), ""},
		"a source that is no label":  {by(fact(), "a.b"), bad},
		"no source":                  {by(fact(), ""), bad},
		"no id":                      {with(fact(), func(e *events.Event) { e.Told.ID = "" }), bad},
		"another id":                 {with(fact(), func(e *events.Event) { e.Told.ID = "4712" }), bad},
		"another source":             {with(fact(), func(e *events.Event) { e.Told.Source = "inventory" }), bad},
		"an answer":                  {with(fact(), func(e *events.Event) { e.Cause = events.Cause{Seq: 1} }), bad},
		"a pod's status of a node":   {with(fact(), func(e *events.Event) { e.Told.Type = events.ToldPodStatus }), bad},
		"a note of a node":           {with(fact(), func(e *events.Event) { e.Told.Type = "com.example.x" }), bad},
		"a bell":                     {with(fact(), func(e *events.Event) { e.Told.Subject = "\a" }), bad},
		"a long extension":           {with(fact(), func(e *events.Event) { e.Told.Extensions["x"] = strings.Repeat("x", 1025) }), bad},
		"a plan":                     {told(events.Event{Type: events.Planned, Body: &events.Plan{Owner: set}}, "hold.placed"), bad},
		"unchanged":                  {told(events.Event{Type: events.ToldUnchanged, Body: events.Unchanged{Ref: ref}}, events.ToldNodeGone), ""},
		"unchanged of another kind":  {told(events.Event{Type: events.ToldUnchanged, Body: events.Unchanged{Ref: set}}, events.ToldNodeGone), bad},
		"unchanged of nothing":       {told(events.Event{Type: events.ToldUnchanged, Body: events.Unchanged{}}, events.ToldNodeGone), "E-EVT-NAME"},
		"a hold":                     {with(hold(same), func(e *events.Event) { e.Subject = "rollcall.c.hold.ci.freeze" }), ""},
		"a hold's subject":           {with(hold(same), func(e *events.Event) { e.Subject = "rollcall.c.hold.other.freeze" }), "E-EVT-SUBJECT"},
		"a hold of another":          {hold(func(h *events.Hold) { h.Owner = "other" }), bad},
		"a hold of nothing":          {hold(func(h *events.Hold) { h.Select = events.Select{} }), bad},
		"a hold without an end":      {hold(func(h *events.Hold) { h.Until = time.Time{} }), bad},
		"a hold that is over":        {hold(func(h *events.Hold) { h.Until = at }), bad},
		"a hold of 31 days":          {hold(func(h *events.Hold) { h.Until = at.Add(31 * 24 * time.Hour) }), bad},
		"a hold of bad labels":       {hold(func(h *events.Hold) { h.Select.Labels = "a in (" }), bad},
		"a hold of a bad name":       {hold(func(h *events.Hold) { h.Name = "A" }), bad},
		"a hold nobody told":         {with(hold(same), func(e *events.Event) { e.Told = nil }), bad},
		"a hold under another type":  {with(hold(same), func(e *events.Event) { e.Type = events.NoteTold }), "E-EVT-TYPE"},
		"lifted":                     {lifted("ci"), ""},
		"lifted of another":          {lifted("other"), bad},
		"lifted by the admin":        {by(lifted("other"), events.AdminSource), ""},
		"a note":                     {with(note("com.example.x", set), func(e *events.Event) { e.Subject = "rollcall.c.note._.ci" }), ""},
		"a note of another's source": {with(note("com.example.x"), func(e *events.Event) { e.Subject = "rollcall.c.note._.other" }), "E-EVT-SUBJECT"},
		"a note of our type":         {note("node.exploded"), bad},
		"a note of no type":          {note("started"), bad},
		"a note of a bad name":       {note("com.example.x", events.Ref{Kind: events.Node, Key: events.Key{Name: "*"}}), bad},
		"a note of many":             {note("com.example.x", make([]events.Ref, 101)...), bad},
	} {
		if code, why := events.Doubt(&c.e); code != c.want || (why == "") != (code == "") || strings.ContainsFunc(why, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%s: %q %q, want %q", name, code, why, c.want)
		}
	}
}

func TestMatch(t *testing.T) {
	match := func(s events.Select) string {
		m, err := s.Compile()
		if err != nil {
			t.Fatal(err)
		}
		out := ""
		for _, k := range []events.Key{ds, {Namespace: "logging", Name: "x"}, {Namespace: "x", Name: "fluentd"}} {
			if m.DaemonSet(k, map[string]string{"tier": k.Name}) {
				out += " " + k.String()
			}
		}
		for _, n := range []string{"n1", "n2"} {
			if m.Node(n, map[string]string{"zone": "z" + n}) {
				out += " " + n
			}
		}
		return out
	}
	for _, c := range []struct {
		s    events.Select
		want string
	}{
		{events.Select{DaemonSets: []events.Key{ds}}, " logging/fluentd n1 n2"},
		{events.Select{Namespaces: []string{"logging", "y"}}, " logging/fluentd logging/x n1 n2"},
		{events.Select{Labels: "tier=fluentd"}, " logging/fluentd x/fluentd n1 n2"},
		{events.Select{Namespaces: []string{"logging"}, Labels: "tier!=x", Nodes: []string{"n2"}}, " logging/fluentd n2"},
		{events.Select{NodeLabels: "zone=zn1"}, " logging/fluentd logging/x x/fluentd n1"},
		{events.Select{NodeLabels: "zone=zn1", Nodes: []string{"n2"}}, " logging/fluentd logging/x x/fluentd"},
	} {
		if got := match(c.s); got != c.want {
			t.Errorf("%+v: %s, want %s", c.s, got, c.want)
		}
	}
	for _, s := range []events.Select{{}, {Labels: "!"}, {NodeLabels: "a in"}, {Nodes: make([]string, 1001)}} {
		if _, err := s.Compile(); err == nil {
			t.Errorf("%.80v is a selector", s)
		}
	}
}

// TestOutsideTheLog: what is told to the gate, and what it refuses, is under no
// subject of the log's stream, however short its type.
func TestOutsideTheLog(t *testing.T) {
	s, err := events.NewSubjects("c")
	if err != nil {
		t.Fatal(err)
	}
	in := strings.Count(s.All(), ".")
	for _, subject := range []string{s.Ingest("ci", "x"), s.Ingest("ci", "node.gone"), s.Ingest("ci", "com.example.x"), s.Rejects("ci")} {
		if strings.Count(subject, ".") == in {
			t.Errorf("%s is under %s", subject, s.All())
		}
	}
	for want, e := range map[string]events.Event{
		"rollcall.c.hold.ci.freeze": told(events.Event{Body: fullHold()}, "hold.placed"),
		"rollcall.c.note._.ci":      told(events.Event{Body: events.Note{}}, "com.example.x"),
		"rollcall.c.told._.ci":      told(events.Event{Body: events.Unchanged{Ref: ref}}, "node.gone"),
	} {
		if got, err := s.Of(e); got != want || err != nil {
			t.Errorf("%s %v, want %s", got, err, want)
		}
	}
	if _, err := s.Of(events.Event{Body: events.Note{}}); err == nil {
		t.Error("a note of nobody has a subject")
	}
}
