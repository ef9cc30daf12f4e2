package page

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// goesOn is how long at most the model goes on, for rollouts to end.
const goesOn = time.Hour

// forecast plays a DaemonSet on from an instant, as rollcall plan does: at the start
// of a rollout that is its plan, and where it has got to, what is left of it. With do
// it is what an action on the page would bring about, before anybody takes it.
func forecast(q *query) (string, any, error) {
	s, err := q.state()
	if err != nil {
		return "", nil, err
	}
	of, err := q.daemonSet()
	if err != nil {
		return "", nil, err
	}
	o, _, there := s.Object(events.DaemonSet, of)
	if !there {
		return "", nil, &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("there is no DaemonSet %q at this instant", q.FormValue("ds")), Do: "choose another, or go to an instant of its life", Exit: events.ExitInput}
	}
	subjects, err := events.NewSubjects(q.page.Cluster)
	if err != nil {
		return "", nil, err
	}
	intent, err := q.intended(s, o)
	q.letGo()
	if err != nil {
		return "", nil, err
	}
	delays, _, err := play.DelaysOf(q.Context(), q.h, q.at.Seq)
	if err != nil {
		return "", nil, err
	}
	f, err := play.NewForesight(q.Context(), q.h, subjects, q.at)
	if err != nil {
		return "", nil, err
	}
	all, err := f.Play(q.Context(), []play.Intent{intent}, play.Terms{Delays: &delays, Seed: 1, Longer: goesOn})
	return "Forecast", all, err
}

// intended is what is written of a DaemonSet: nothing, or what an action writes.
func (q *query) intended(s *projector.State, o events.Object) (i play.Intent, err error) {
	do := q.FormValue("do")
	if do == "" {
		return play.Intent{Before: o, After: o}, nil
	}
	j, err := wire.ToJSON(o.Data)
	if err != nil {
		return i, err
	}
	var before, after map[string]any
	if err := errors.Join(json.Unmarshal(j, &before), json.Unmarshal(j, &after)); err != nil {
		return i, err
	}
	switch do {
	case "undo":
		var template map[string]any
		if template, err = templateBefore(s.DaemonSet(o.Key)); err == nil {
			err = unstructured.SetNestedMap(after, template, "spec", "template")
		}
	case "pause":
		err = unstructured.SetNestedField(after, "true", "metadata", "annotations", events.AnnotationPaused)
	case "resume":
		unstructured.RemoveNestedField(after, "metadata", "annotations", events.AnnotationPaused)
	default:
		err = refused(fmt.Sprintf("do cannot be %q", do), "give undo, pause or resume, or leave it out")
	}
	if err != nil {
		return i, err
	}
	return play.NewIntent(events.DaemonSet, before, after)
}

// templateBefore is the template to which kubectl rollout undo goes back: that of the
// revision with the second highest number.
func templateBefore(d *sets.DaemonSet) (map[string]any, error) {
	all := slices.SortedFunc(slices.Values(d.Revisions()), func(a, b *sets.Revision) int { return cmp.Compare(b.Number, a.Number) })
	if len(all) < 2 {
		return nil, &events.Error{Code: "E-UI-ACTION", What: "there is no template before this one", Where: "ds/" + d.Key.String(), Do: "see rollcall rollout list for what there was", Exit: events.ExitInput}
	}
	t, err := daemonpod.Template(all[1].Object.Data.Raw)
	if err != nil {
		return nil, err
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(t)
}

// whatIf plays the history again with something else.
func whatIf(q *query) (string, any, error) {
	runs, err := q.number("runs", 1, 1, maxRuns)
	if err != nil {
		return "", nil, err
	}
	subjects, err := events.NewSubjects(q.page.Cluster)
	if err != nil {
		return "", nil, err
	}
	ask, err := q.question()
	if err != nil {
		return "", nil, err
	}
	changed := slices.Concat(q.Form["set"], q.Form["without"])
	if len(ask.Inserts) > 0 {
		changed = append(changed, "what is applied besides")
	}
	a, err := play.Ask(q.Context(), q.past.Log, subjects, ask, changed, play.Runs{N: runs, Seed: 1})
	return "WhatIf", []*play.Answer{a}, err
}

// question reads what is to be otherwise.
func (q *query) question() (ask play.Question, err error) {
	ask.Longer = goesOn
	var from replay.Moment
	if q.FormValue("from") != "" {
		if from, err = q.moment("from"); err != nil {
			return ask, err
		}
		ask.From = from.Seq
	}
	for _, text := range q.Form["set"] {
		set, err := play.ParseSet(strings.TrimPrefix(text, "ds/"), "default")
		if err != nil {
			return ask, &events.Error{Code: "E-WHATIF-SET", What: fmt.Sprintf("%q cannot be set", text), Why: err.Error(), Do: "write NAMESPACE/NAME.FIELD=VALUE", Exit: events.ExitInput}
		}
		ask.Sets = append(ask.Sets, set)
	}
	for _, text := range q.Form["without"] {
		seq, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 10, 64)
		if err != nil {
			return ask, refused(fmt.Sprintf("%q is no position", text), "give that of an event from outside")
		}
		ask.Without = append(ask.Without, events.Seq(seq))
	}
	text := q.FormValue("insert")
	if text == "" {
		return ask, nil
	}
	if q.page.Insert == nil {
		return ask, refused("nothing can be applied besides", "ask rollcall whatif --insert")
	}
	if from.Seq == 0 {
		from = q.at
	}
	ask.Inserts, err = q.page.Insert(q.Context(), text, from)
	return ask, err
}
