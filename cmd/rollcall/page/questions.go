package page

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rollcall/events"
)

// lane is which reader a question is put to.
type lane int

// The lanes: what stands at an instant, what needs the index of all events, what is
// said of rollouts from the beginning of the log, and what may read much of it. The
// index of a long log takes a while, and the first view does not wait for it.
const (
	instants lane = iota
	places
	courses
	stories
	lanes
)

// question is how one is answered, and where, and what it reads besides at. The answer
// of a fleeting one may be another the next time.
type question struct {
	lane     lane
	do       answer
	params   string
	fleeting bool
}

// questions are what is answered under /v1/.
var questions = map[string]question{
	"info": {do: info}, "overview": {do: overview}, "events": {do: steps, params: "after limit type ds"}, "names": {do: names, params: "kind"}, "health": {do: health, fleeting: true}, "instance": {do: instance, fleeting: true},
	"state": {lane: places, do: state, params: "ds format"}, "nodes": {lane: places, do: nodes}, "deltas": {lane: places, do: deltas, params: "ds from"}, "density": {lane: places, do: density, params: "from to buckets axis"},
	"sources": {lane: places, do: sources, fleeting: true}, "plan": {lane: places, do: nearPlan, params: "way"},
	"rollouts": {lane: courses, do: rollouts, params: "beside"}, "marks": {lane: courses, do: marks}, "rates": {lane: courses, do: rates}, "compare": {lane: courses, do: compare, params: "a b beside"}, "wave": {lane: courses, do: nearWave, params: "way"},
	"object": {lane: stories, do: object, params: "of"}, "event": {lane: stories, do: told}, "why": {lane: stories, do: why, params: "of"}, "why-not": {lane: stories, do: whyNot, params: "of"},
	"diff": {lane: stories, do: diff, params: "from"}, "whatif": {lane: stories, do: whatIf, params: "set without insert from runs"}, "forecast": {lane: stories, do: forecast, params: "ds do"},
}

// refused is a parameter that cannot be so.
func refused(what, do string) error {
	return &events.Error{Code: "E-UI-VALUE", What: what, Do: do, Exit: events.ExitInput}
}

// reads refuses a parameter that a path does not read: who mistypes one is not given an
// answer to another question.
func reads(r *http.Request, params string) error {
	known := append(strings.Fields(params), "at")
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		if !slices.Contains(known, name) {
			slices.Sort(known)
			return refused(fmt.Sprintf("%s has no parameter %q", r.URL.Path, name), "give "+strings.Join(known, ", "))
		}
	}
	return nil
}

// number reads a parameter; absent: the default.
func (q *query) number(name string, def, least, most int) (int, error) {
	text := q.FormValue(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, refused(fmt.Sprintf("%s cannot be %q", name, text), fmt.Sprintf("give %d to %d", least, most))
	}
	return n, nil
}

// choice reads a parameter that has one of some values, or none.
func (q *query) choice(name string, values ...string) (string, error) {
	text := q.FormValue(name)
	if text != "" && !slices.Contains(values, text) {
		return "", refused(fmt.Sprintf("%s cannot be %q", name, text), "give "+strings.Join(values, " or ")+", or leave it out")
	}
	return text, nil
}

// daemonSet reads [NAMESPACE/]NAME of a DaemonSet, which there may be or not.
func (q *query) daemonSet() (events.Key, error) {
	text := strings.TrimPrefix(q.FormValue("ds"), "ds/")
	namespace, name, ok := strings.Cut(text, "/")
	if !ok {
		namespace, name = "default", text
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return events.Key{}, refused(fmt.Sprintf("ds cannot be %q", q.FormValue("ds")), "write NAMESPACE/NAME of a DaemonSet")
	}
	return events.Key{Namespace: namespace, Name: name}, nil
}
