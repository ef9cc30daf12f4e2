package story_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/story"
)

// TestToldLines: each kind of what others tell is told on one line, with who told
// it as what, and --daemonset finds what names the DaemonSet.
func TestToldLines(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	ds := events.Key{Namespace: "logging", Name: "agent"}
	data, err := wire.Marshal(map[string]any{"text": "a\nb\x1b[2J"})
	if err != nil {
		t.Fatal(err)
	}
	all := events.Select{DaemonSets: []events.Key{ds}, Namespaces: []string{"a", "b"}, Labels: "tier=x", Nodes: []string{"n1"}, NodeLabels: "zone in (a,b)"}
	for _, c := range []struct {
		typ  string
		e    events.Event
		want string
		of   bool
	}{
		{"hold.placed", events.Event{Type: events.HoldPlaced, Body: events.Hold{Owner: "ci", Name: "freeze", Reason: "release day", Until: at, Select: all}},
			"hold/ci/freeze                 holds ds/logging/agent and ns/a,b and ds with tier=x and node/n1 … until 2026-03-01T09:00:00Z: release day  told by ci, late (of 2026-03-01T09:00:00Z)", true},
		{"hold.lifted", events.Event{Type: events.HoldLifted, Body: events.Lifted{Owner: "ci", Name: "freeze"}}, "hold/ci/freeze                 lifted  told by ci", false},
		{"com.example.x", events.Event{Type: events.NoteTold, Body: events.Note{Objects: []events.Ref{{Kind: events.DaemonSet, Key: ds}}}},
			`-                              com.example.x about ds/logging/agent: {"text":"a\nb\u001b[2J"}  told by ci`, true},
		{"node.condition", events.Event{Type: events.ToldUnchanged, Body: events.Unchanged{Ref: events.Ref{Kind: events.Node, Key: events.Key{Name: "n1"}}}},
			"node/n1                        changed nothing  node.condition told by ci", false},
	} {
		c.e.Told = &events.Told{Source: "ci", ID: "1", Type: c.typ, Data: data, Time: at, Late: true}
		entries := story.New().Tell(c.e)
		if got := story.Line(entries[0]); !strings.Contains(got, c.want) || strings.ContainsAny(got, "\n\x1b") {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		if got := (story.Filter{DaemonSet: ds}).Match(c.e, entries[0]); got != c.of {
			t.Errorf("%s is of the DaemonSet: %v", c.typ, got)
		}
		for glob, want := range map[string]bool{c.typ: true, string(c.e.Type): true, "com.example.*": c.typ == "com.example.x", "node.x": false} {
			if got := (story.Filter{Types: []string{glob}}).Wants(c.e); got != want {
				t.Errorf("%s passes %s: %v", c.typ, glob, got)
			}
		}
	}
}
