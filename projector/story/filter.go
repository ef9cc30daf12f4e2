package story

import (
	"slices"
	"strings"
	"time"

	"rollcall/events"
)

// Filter says which events of a log to tell. Zero fields let everything pass.
type Filter struct {
	From, To     events.Seq // both are part of the range
	Since, Until time.Time  // of the log's clock; both are part of the range
	Types        []string   // any of these, as what it is or was told as; "pod.*" is every type that begins with "pod."
	DaemonSet    events.Key // itself, its plans, outcomes, pods and revisions, and notes and holds that name it
}

// Wants reports whether e may match, without telling it first. An event that
// it does not want still has to be observed by the teller.
func (f Filter) Wants(e events.Event) bool {
	switch {
	case e.Seq < f.From || f.To != 0 && e.Seq > f.To,
		!f.Since.IsZero() && e.Stored.Before(f.Since),
		!f.Until.IsZero() && e.Stored.After(f.Until):
		return false
	}
	return len(f.Types) == 0 || slices.ContainsFunc(f.Types, func(glob string) bool {
		return matches(glob, string(e.Type)) || e.Told != nil && matches(glob, e.Told.Type)
	})
}

func matches(glob, typ string) bool {
	if begin, ok := strings.CutSuffix(glob, "*"); ok {
		return strings.HasPrefix(typ, begin)
	}
	return typ == glob
}

// Match reports whether an entry that was told of e passes. Pods and revisions
// that nothing controls belong to the DaemonSet whose name they begin with.
func (f Filter) Match(e events.Event, entry Entry) bool {
	if !f.Wants(e) {
		return false
	}
	if f.DaemonSet == (events.Key{}) {
		return true
	}
	if entry.DaemonSet != (events.Key{}) {
		return entry.DaemonSet == f.DaemonSet
	}
	if toldAbout(e.Body, f.DaemonSet) {
		return true
	}
	r := events.RefOf(e)
	if controlled(e.Body) {
		return false
	}
	return (r.Kind == events.Pod || r.Kind == events.ControllerRevision) &&
		r.Key.Namespace == f.DaemonSet.Namespace && strings.HasPrefix(r.Key.Name, f.DaemonSet.Name+"-")
}

// controlled reports whether the object of an event has a controller.
func controlled(b events.Body) bool {
	var data []byte
	switch b := b.(type) {
	case events.Object:
		data = b.Data
	case events.Gone:
		data = b.Data
	}
	return controllerOf(events.Ref{}, data) != events.Ref{}
}
