package replay

import (
	"context"
	"slices"
	"strings"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
)

// firstReach is how many events before one are read at first for what that comes
// from. Most chains are short, and to follow what calls for what costs much more
// than to read: where a chain goes back further, more is read, from keyframe to
// keyframe.
const firstReach = 5000

// WhyAt is Why of a subject as of a position, for who asks nothing else: of all the
// log it reads what the log says of the object, and what comes from what as far back
// as the answer goes.
func (h *History) WhyAt(ctx context.Context, at events.Seq, about Subject) (*Explanation, error) {
	facts, err := h.factsOf(ctx, at, about)
	if err != nil {
		return nil, err
	}
	return h.why(ctx, facts, about, func(seq events.Seq) (*Causes, error) { return h.reach(ctx, seq, seq, seq) })
}

// reach returns causes that say of the events from from to to what the log says,
// and in which the chains of some of them end where they would if it were known
// what all of the log comes from.
func (h *History) reach(ctx context.Context, from, to events.Seq, of ...events.Seq) (*Causes, error) {
	for size := h.reached; ; size *= 4 {
		cs, err := h.CausesSince(ctx, from-min(from, size), to)
		if err != nil || cs.first == h.before+1 {
			return cs, err
		}
		complete := true
		for _, seq := range of {
			if complete, err = h.complete(ctx, cs, seq); err != nil {
				return nil, err
			}
			if !complete {
				break
			}
		}
		if complete {
			return cs, nil
		}
	}
}

// complete reports whether the chain of an event is that of the whole log: it ends
// outside, at what somebody else than the controller has told, and what the
// controller wrote without a command has the fact that it was fenced by among the
// causes. Who does not know that fact may not know all of when the write was called
// for.
func (h *History) complete(ctx context.Context, cs *Causes, seq events.Seq) (bool, error) {
	for _, l := range cs.Chain(eventLink(seq)) {
		if cs.before(l.Seq) {
			return false, nil
		}
		w := cs.witness(l.Seq)
		_, command := l.Command()
		last := cs.Of(l).IsZero()
		if command || w.source != controller.Source {
			if command && last {
				return false, nil
			}
			continue
		}
		e, err := h.Event(ctx, l.Seq)
		if err != nil {
			return false, err
		}
		_, plan := e.Body.(*events.Plan)
		fence, fenced := cs.factBefore(e)
		if last && !w.asked || !plan && !w.asked && e.Cause.IsZero() && (!fenced || cs.before(fence)) {
			return false, nil
		}
	}
	return true, nil
}

// CausesSince is Causes from the newest keyframe on that is at or before a position.
func (h *History) CausesSince(ctx context.Context, from, to events.Seq) (*Causes, error) {
	s, err := h.nearest(ctx, from)
	if err != nil {
		return nil, err
	}
	t := newTracker(s)
	if err := h.pass(ctx, s, to, Visit{After: t.after}); err != nil {
		return nil, err
	}
	return t.out, nil
}

// factsOf returns causes that know of one object where its facts are up to a
// position, and all notes, and of nothing what it comes from.
func (h *History) factsOf(ctx context.Context, to events.Seq, about Subject) (*Causes, error) {
	end, err := h.At(ctx, to)
	if err != nil {
		return nil, err
	}
	n, passed := end.Quarantined()
	if n > len(passed) {
		return h.Causes(ctx, to) // a state does not name all that was not believed
	}
	s, err := h.Begin(ctx)
	if err != nil {
		return nil, err
	}
	t := newFacts(s.Seq() + 1)
	if o, last, ok := s.Object(about.Kind, about.Key); ok {
		t.out.kept[place{about.Kind, about.Key}] = o
		t.note(events.Event{Seq: last, Body: o})
	}
	under := strings.TrimPrefix(events.Subjects{}.Object(about.Kind, about.Key), "rollcall.")
	for e, err := range h.bare(ctx) {
		if err != nil || e.Seq > to {
			return t.out, err
		}
		if !strings.HasSuffix(e.Subject, under) && !strings.Contains(e.Subject, ".note.") && !strings.Contains(e.Subject, ".hold.") ||
			slices.ContainsFunc(passed, func(q projector.Quarantined) bool { return q.Seq == e.Seq }) {
			continue
		}
		if e.Body == nil {
			seq := e.Seq
			e = events.Decode(e.Raw)
			e.Seq = seq
		}
		t.note(e)
	}
	return t.out, nil
}

// Keys returns the names of a kind that the log has told of up to a position, in
// order, those of objects that are gone among them.
func (h *History) Keys(ctx context.Context, kind events.Kind, to events.Seq) ([]events.Key, error) {
	s, err := h.Begin(ctx)
	if err != nil {
		return nil, err
	}
	var keys []events.Key
	seen := map[events.Key]bool{}
	take := func(k events.Key) {
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	for _, o := range s.List(kind, "") {
		take(o.Key)
	}
	under := "." + strings.ReplaceAll(strings.ToLower(string(kind)), ".", "_") + "."
	for e, err := range h.bare(ctx) {
		if err != nil {
			return nil, err
		}
		if e.Seq > to {
			break
		}
		if strings.Contains(e.Subject, under) {
			if of, key := events.Under(e.Subject); of == strings.ToLower(string(kind)) {
				take(key)
			}
		}
	}
	slices.SortFunc(keys, events.Key.Compare)
	return keys, nil
}
