package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/events/wire"
)

// toldText says what an event does that only somebody outside tells.
func toldText(e events.Event) string {
	switch b := e.Body.(type) {
	case events.Hold:
		return holdText(b)
	case events.Lifted:
		return "lifted"
	case events.Note:
		return noteText(e.Told, b)
	case events.Unchanged:
		return "changed nothing"
	}
	return ""
}

// holdText says what a hold holds, until when and why.
func holdText(h events.Hold) string {
	text := "holds " + selectText(h.Select) + " until " + h.Until.UTC().Format(time.RFC3339)
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return text
}

// selectText says what a hold selects.
func selectText(s events.Select) string {
	var parts []string
	add := func(what string, names []string) {
		if len(names) > 0 {
			parts = append(parts, what+strings.Join(names, ","))
		}
	}
	var sets []string
	for _, k := range s.DaemonSets {
		sets = append(sets, k.String())
	}
	add("ds/", sets)
	add("ns/", s.Namespaces)
	if s.Labels != "" {
		parts = append(parts, "ds with "+s.Labels)
	}
	add("node/", s.Nodes)
	if s.NodeLabels != "" {
		parts = append(parts, "nodes with "+s.NodeLabels)
	}
	return cut(strings.Join(parts, " and "), maxValue)
}

// noteText says what a note is about and what it says.
func noteText(t *events.Told, n events.Note) string {
	text := t.Type
	if names := noteObjects(n); len(names) > 0 {
		text += " about " + cut(strings.Join(names, ","), maxValue)
	}
	if j, err := wire.ToJSON(t.Data); err == nil && len(j) > len("{}") {
		text += ": " + cut(string(j), maxValue)
	}
	return text
}

// noteObjects returns the names of what a note is about, as commands take them.
func noteObjects(n events.Note) []string {
	var names []string
	for _, r := range n.Objects {
		names = append(names, Name(r))
	}
	return names
}

// toldBy says who told an event, and as what if its type does not say; "": nobody
// outside.
func toldBy(e events.Event) string {
	t := e.Told
	if t == nil {
		return ""
	}
	text := "told by " + t.Source
	if _, note := e.Body.(events.Note); !note && t.Type != string(e.Type) {
		text = t.Type + " " + text
	}
	if t.Late {
		text += fmt.Sprintf(", late (of %s)", t.Time.UTC().Format(time.RFC3339))
	}
	return text
}

// toldAbout reports whether an event that only somebody outside tells is about a
// DaemonSet by name.
func toldAbout(b events.Body, ds events.Key) bool {
	switch b := b.(type) {
	case events.Hold:
		return slices.Contains(b.Select.DaemonSets, ds) || slices.Contains(b.Select.Namespaces, ds.Namespace)
	case events.Note:
		return slices.ContainsFunc(b.Objects, func(r events.Ref) bool { return r.Kind == events.DaemonSet && r.Key == ds })
	}
	return false
}
