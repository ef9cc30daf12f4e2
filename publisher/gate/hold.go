package gate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/publisher"
)

const (
	holdFor  = time.Hour // how long a hold lasts of which no end is told
	maxHolds = 256       // of one source: each is looked at when labels change
)

// place returns the hold that an event places.
func place(t *told, o publisher.HoldPlaced) (h events.Hold, p *publisher.Problem) {
	h.Owner, h.Name, h.Reason = t.by.Name, t.name(), o.Reason
	var errs []publisher.ProblemError
	for i, text := range o.Select.DaemonSets {
		namespace, name, ok := strings.Cut(text, "/")
		key := events.Key{Namespace: namespace, Name: name}
		if !ok || events.CheckObjectName(events.DaemonSet, key) != "" {
			errs = append(errs, publisher.ProblemError{Pointer: fmt.Sprintf("/data/select/daemonSets/%d", i), Expected: "NAMESPACE/NAME", Got: quote(text)})
			continue
		}
		h.Select.DaemonSets = append(h.Select.DaemonSets, key)
	}
	h.Select.Namespaces, h.Select.Labels, h.Select.Nodes, h.Select.NodeLabels = o.Select.Namespaces, o.Select.Labels, o.Select.Nodes, o.Select.NodeLabels
	if _, err := h.Select.Compile(); err != nil && len(errs) == 0 {
		errs = append(errs, publisher.ProblemError{Pointer: "/data/select", Expected: "what the hold is about", Hint: oneLine(err.Error())})
	}
	switch {
	case o.Until == nil:
		h.Until = t.now.Add(holdFor).UTC().Truncate(time.Second)
		t.warn("the hold ends in an hour, at " + h.Until.Format(time.RFC3339) + ": until was not told")
	default:
		h.Until = o.Until.UTC()
		if lasts := h.Until.Sub(t.now); lasts <= 0 || lasts > events.MaxHold {
			errs = append(errs, publisher.ProblemError{Pointer: "/data/until", Expected: "a time within the next 30 days", Got: quote(h.Until.Format(time.RFC3339)),
				Hint: "it is " + t.now.UTC().Format(time.RFC3339) + " here"})
		}
	}
	if len(errs) > 0 {
		return h, dataProblem(errs)
	}
	return h, nil
}

// draftHold is what a hold.placed or hold.lifted makes of the holds there are.
func (g *Gate) draftHold(ctx context.Context, t *told, now *overlay) (draft, *publisher.Problem) {
	if t.event.Type == publisher.TypeHoldLifted {
		return g.draftLifted(ctx, t, now)
	}
	var o publisher.HoldPlaced
	if p := t.data(&o); p != nil {
		return draft{}, p
	}
	h, p := place(t, o)
	if p != nil {
		return draft{}, p
	}
	if p := mayHold(t, h.Select); p != nil {
		return draft{}, p
	}
	was, seq, there := g.hold(now, h.Owner, h.Name)
	if !there && g.standing(t, now) >= maxHolds {
		return draft{}, refusal(http.StatusUnprocessableEntity, "E-TOLD-HOLDS", "too many holds",
			"source %s has %d holds, and no more may stand at once; lift some, or select more with one", t.by.Name, maxHolds)
	}
	return draft{ref: h.Ref(), body: h, kind: events.HoldPlaced, same: there && reflect.DeepEqual(was, h), at: seq}, nil
}

func (g *Gate) draftLifted(ctx context.Context, t *told, now *overlay) (draft, *publisher.Problem) {
	var o publisher.HoldLifted
	if p := t.data(&o); p != nil {
		return draft{}, p
	}
	l := events.Lifted{Owner: cmp.Or(o.Owner, t.by.Name), Name: t.name()}
	if l.Owner != t.by.Name && t.by.Name != events.AdminSource {
		return draft{}, refusal(http.StatusForbidden, "E-TOLD-SOURCE", "not a hold of this source", "source %s does not lift a hold of %s; the admin does", t.by.Name, quote(l.Owner))
	}
	_, seq, there := g.hold(now, l.Owner, l.Name)
	d := draft{ref: l.Ref(), body: l, kind: events.HoldLifted, at: seq}
	if there {
		return d, nil
	}
	return g.ended(ctx, d, now, g.config.Subjects.Hold(l.Owner, l.Name))
}

// mayHold says why a source may not hold what a hold selects: one that may tell of
// some nodes only holds nothing on others.
func mayHold(t *told, s events.Select) *publisher.Problem {
	switch {
	case t.by.OfAllNodes():
		return nil
	case len(s.Nodes) == 0:
		return refusal(http.StatusForbidden, "E-TOLD-NODE", "not only nodes of this source",
			"source %s may tell of some nodes only, and a hold of its has to name them in select.nodes; another source, without --nodes, may hold the rest", t.by.Name)
	}
	for _, name := range s.Nodes {
		if !t.by.MayNode(name) {
			return notYours(t, name)
		}
	}
	return nil
}

// standing counts the holds of a source, with what events of the same batch make of
// them.
func (g *Gate) standing(t *told, now *overlay) (n int) {
	for _, h := range g.config.State.Holds(t.by.Name) {
		if _, told := now.drafts[h.Ref()]; !told && h.Until.After(t.now) {
			n++
		}
	}
	for ref, d := range now.drafts {
		if _, placed := d.body.(events.Hold); placed && ref.Key.Namespace == t.by.Name {
			n++
		}
	}
	return n
}

// hold returns a hold as it is, or as events of the same batch will have it.
func (g *Gate) hold(now *overlay, owner, name string) (h events.Hold, seq events.Seq, ok bool) {
	if d, told := now.drafts[(events.Hold{Owner: owner, Name: name}).Ref()]; told {
		h, ok = d.body.(events.Hold)
		return h, 0, ok
	}
	return g.config.State.Hold(owner, name)
}

// draftNote is what an event of a type of somebody else makes: a note.
func (g *Gate) draftNote(t *told) (draft, *publisher.Problem) {
	var o publisher.Note
	_ = json.Unmarshal(t.event.Data, &o) // data that is no object names nothing
	n, errs := events.Note{}, []publisher.ProblemError(nil)
	add := func(text string) bool {
		ref, ok := refOf(strings.TrimSpace(text))
		if ok && !slices.Contains(n.Objects, ref) {
			n.Objects = append(n.Objects, ref)
		}
		return ok
	}
	for one := range strings.SplitSeq(t.event.Subject, ",") {
		add(one) // a subject may name what is no object here
	}
	for i, one := range o.Objects {
		if !add(one) {
			errs = append(errs, publisher.ProblemError{Pointer: fmt.Sprintf("/data/objects/%d", i), Expected: "node/NAME, pod/NAMESPACE/NAME or ds/NAMESPACE/NAME", Got: quote(one)})
		}
	}
	if len(n.Objects) > events.MaxNoteObjects {
		errs = append(errs, publisher.ProblemError{Pointer: "/data/objects", Expected: fmt.Sprintf("at most %d objects", events.MaxNoteObjects), Got: fmt.Sprint(len(n.Objects))})
	}
	if len(errs) > 0 {
		return draft{}, dataProblem(errs)
	}
	return draft{body: n, kind: events.NoteTold}, nil
}

// shortKinds are the words by which events name objects.
var shortKinds = map[string]events.Kind{"node": events.Node, "pod": events.Pod, "ds": events.DaemonSet, "daemonset": events.DaemonSet}

// refOf reads the name of an object: node/NAME, pod/NAMESPACE/NAME, ds/NAMESPACE/NAME.
func refOf(s string) (r events.Ref, ok bool) {
	word, name, _ := strings.Cut(s, "/")
	if r.Kind, ok = shortKinds[word]; !ok {
		return r, false
	}
	r.Key.Name = name
	if events.Namespaced(r.Kind) {
		if r.Key.Namespace, r.Key.Name, ok = strings.Cut(name, "/"); !ok {
			return r, false
		}
	}
	return r, events.CheckObjectName(r.Kind, r.Key) == ""
}
