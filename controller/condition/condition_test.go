package condition_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall/controller/condition"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
)

// values evaluates an expression at every event of a recording after a position:
// "t", "f", or "?" if it has no value.
func values(t *testing.T, expr string, after events.Seq) (all string) {
	t.Helper()
	c, err := condition.Compile(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := projector.New("")
	var w *condition.World
	for e, err := range r.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if w == nil && s.Seq() == after {
			if w, err = c.Begin(s); err != nil {
				t.Fatal(err)
			}
		}
		e = projector.Fold(s, e)
		if w == nil {
			continue
		}
		holds, known, err := w.Take(t.Context(), s, e)
		switch {
		case err != nil:
			t.Fatalf("%s: #%d: %v", expr, e.Seq, err)
		case !known:
			all += "?"
		case holds:
			all += "t"
		default:
			all += "f"
		}
	}
	return all
}

// TestValues: everything that docs/DEBUGGING.md tells of can be named.
func TestValues(t *testing.T) {
	for _, expr := range []string{
		`state.seq == event.seq && state.time >= timestamp("2026-03-02T10:00:00Z")`,
		`state.nodes.all(k, state.nodes[k].metadata.name == k)`,
		`state.pods.all(k, k == state.pods[k].metadata.namespace + "/" + state.pods[k].metadata.name)`,
		`state.daemonsets.all(k, state.daemonsets[k].spec.template.spec.containers.size() == 1)`,
		`state.counts.all(k, state.counts[k].updated <= state.counts[k].desired)`,
		`event.commands.all(c, c.do in ["CreatePod", "DeletePod"] && c.reason != "" && c.node.startsWith("node-") && c.object.startsWith("pod/"))`,
		`!event.type.startsWith("pod.") || event.object.startsWith("pod/") && event.source in ["executor", "kubelet"]`,
		`event.type != "daemonset.planned" || ds.metadata.name == "node-agent"`,
		`!has(node.spec) || event.type.startsWith("node.")`,
		`event.actor == "" || event.verb != "" && event.manager != "" && event.time == state.time && event.change != "x"`,
		`event.told == "" && event.toldType == ""`,
	} {
		if got := values(t, expr, 0); strings.Trim(got, "t") != "" {
			t.Errorf("%s: %s", expr, got)
		}
	}
}

// TestBegin: a world that begins at a position says what one says that began
// before the first event.
func TestBegin(t *testing.T) {
	for _, expr := range []string{
		`size(state.pods) % 2 == 0`,
		`state.counts.exists(k, state.counts[k].available >= 24)`,
		`size(state.nodes) + size(state.daemonsets) > 20`,
	} {
		all := values(t, expr, 0)
		if got := values(t, expr, 200); got != all[200:] {
			t.Errorf("%s from #201: %s, want %s", expr, got, all[200:])
		}
	}
}

// TestRefused: what is no condition is refused in one line.
func TestRefused(t *testing.T) {
	for _, expr := range []string{"", "state.", "1", "nothing", "pod", "size(state.pods)", "true &&", strings.Repeat("!", 20000) + "true"} {
		_, err := condition.Compile(expr)
		var e *events.Error
		if !errors.As(err, &e) || e.Code != "E-REPLAY-EXPR" || e.Exit != events.ExitInput || strings.Contains(e.Error(), "\n") {
			t.Errorf("%.40q: %v", expr, err)
		}
	}
}

// TestTerms: the sides of comparisons are told before and after an event, literals
// and lists left out.
func TestTerms(t *testing.T) {
	c, err := condition.Compile(`state.seq < 2 && !(size(state.nodes) != 3 || state.pods == {}) && state.counts["x/y"].ready > 0`)
	if err != nil {
		t.Fatal(err)
	}
	s := projector.New("")
	w, err := c.Begin(s)
	if err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, err := range r.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		e = projector.Fold(s, e)
		if _, _, err := w.Take(t.Context(), s, e); err != nil {
			t.Fatal(err)
		}
		if e.Seq == 5 {
			break
		}
	}
	want := []condition.Term{{Text: "state.seq", Value: "5"}, {Text: "size(state.nodes)", Value: "3"}, {Text: `state.counts["x/y"].ready`, Value: "nothing"}}
	if got := w.Terms(t.Context()); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
