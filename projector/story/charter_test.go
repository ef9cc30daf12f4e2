package story_test

import (
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/projector/story"
)

// A charter is told on one line, also one of which a byte is strange.
func TestCharterLine(t *testing.T) {
	c := events.Charter{Cluster: "ks\n1", Epoch: 1, Version: "v1.36.3", Mode: events.Rollouts, Collects: true, Budget: events.BudgetUpstream,
		Scope: events.Scope{Namespaces: []string{"a", "b"}, Selector: "tier=x"}}
	entries := story.New().Tell(events.Event{Seq: 4, Type: events.Chartered, Source: "kube", Body: c})
	want := "about cluster ks 1 of v1.36.3, restored 1 times, mode rollouts, in namespaces a,b, of DaemonSets with tier=x, and collects what is left behind, budget upstream"
	if got := story.Line(entries[0]); len(entries) != 1 || !strings.Contains(got, want) || strings.Contains(got, "\n") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
