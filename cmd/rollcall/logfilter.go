package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rollcall/events"
)

// eventTypes returns every type of event that a log can hold of what is served here,
// in order.
func eventTypes() []string {
	all := []string{string(events.Planned), string(events.GCPlanned), string(events.Failed), string(events.Overtaken),
		string(events.HoldPlaced), string(events.HoldLifted), string(events.NoteTold), string(events.ToldUnchanged),
		events.ToldNodeObserved, events.ToldNodeGone, events.ToldNodeCondition, events.ToldPodStatus}
	for _, k := range events.Kinds() {
		for _, verb := range []string{events.VerbCreated, events.VerbUpdated, events.VerbDeleted} {
			all = append(all, string(events.ObjectType(k, verb)))
		}
	}
	slices.Sort(all)
	return all
}

// checkTypes refuses a --type that no event can have: it would find nothing,
// and look as if there were nothing.
func checkTypes(given []string) error {
	all := eventTypes()
	for _, glob := range given {
		begin, open := strings.CutSuffix(glob, "*")
		if open && slices.ContainsFunc(all, func(t string) bool { return strings.HasPrefix(t, begin) }) || slices.Contains(all, glob) || ofNote(glob) {
			continue
		}
		do := "write kind.created, kind.updated or kind.deleted, such as pod.created, or 'pod.*'"
		near := events.Nearest(glob, append(slices.Clone(all), kindGlobs(all)...), 1)
		if len(near) > 0 {
			do = "did you mean " + near[0] + "?"
		}
		return &events.Error{Code: "E-CLI-TYPE", What: fmt.Sprintf("no event has the type %q", glob), Where: "--type", Do: do, Exit: events.ExitInput}
	}
	return nil
}

// ofNote reports whether a --type is that of notes: a name in reverse DNS form of
// three parts or more. One of two may be a type of ours that is not spelt right.
func ofNote(glob string) bool {
	return strings.Count(glob, ".") > 1 && events.CheckNoteType(strings.TrimSuffix(strings.TrimSuffix(glob, "*"), ".")) == ""
}

// kindGlobs returns what matches all types of a kind, and its name alone, which
// is what people forget the rest of.
func kindGlobs(all []string) (globs []string) {
	for _, t := range all {
		if glob := t[:strings.LastIndexByte(t, '.')] + ".*"; !slices.Contains(globs, glob) {
			globs = append(globs, glob)
		}
	}
	return globs
}

// locate finds what --from and --to name, and narrows the filter to it.
func (o *logOptions) locate(ctx context.Context, a *archive) (err error) {
	if o.since, err = a.locate(ctx, o.since); err != nil {
		return of("--from", err)
	}
	if o.until, err = a.locate(ctx, o.until); err != nil {
		return of("--to", err)
	}
	o.filter.From, o.filter.Since, _ = o.since.Bounds()
	o.filter.To, _, o.filter.Until = o.until.Bounds()
	return o.goesForward()
}

// settled reports whether the log tells of the DaemonSet that is asked for.
func (w *logWriter) settled() bool {
	return w.filter.DaemonSet == (events.Key{}) || w.sets[w.filter.DaemonSet]
}

// missing says at the end of the log that nothing in it is what was asked for:
// a DaemonSet that it does not tell of is refused, unless it may yet come.
func (s *session) missing(w *logWriter, o logOptions) error {
	switch {
	case w.n > 0:
		return nil
	case !w.settled() && !o.follow:
		return w.unknownSet()
	case !w.settled():
		fmt.Fprintf(s.err, "The log does not tell of a DaemonSet %s yet\n", w.filter.DaemonSet)
	case !o.follow && o.format == "text":
		fmt.Fprintln(s.err, "No events found")
	}
	return nil
}

// unknownSet refuses a DaemonSet that the log does not tell of.
func (w *logWriter) unknownSet() error {
	key := w.filter.DaemonSet
	var names []string
	for k := range w.sets {
		names = append(names, k.String())
	}
	slices.Sort(names)
	do := events.Suggest(key.String(), names, "list those that there are with rollcall kubectl get ds -A")
	for _, n := range names {
		if strings.HasSuffix(n, "/"+key.Name) {
			do = "did you mean " + n + "?"
		}
	}
	return &events.Error{Code: "E-CLI-NOTFOUND", What: fmt.Sprintf("the log tells of no DaemonSet %s", key), Where: "--daemonset", Do: do, Exit: events.ExitInput}
}
