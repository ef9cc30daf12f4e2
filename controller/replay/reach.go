package replay

import (
	"context"
	"slices"
	"strings"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/ahead"
	"rollcall/projector"
)

// firstReach is how many events before one are read at first for what that comes
// from. Most chains are short, and to follow what calls for what costs much more
// than to read: where a chain goes back further, more is read, from keyframe to
// keyframe.
const firstReach = 5000

// WhyAt is Why of a subject as of a position, for who asks nothing else: of all the
// log it reads what the log says of the object, and what comes from what as far back
// as the answer goes: not at all, where the event that is to be explained comes from
// nothing in the log. What freed the commands of the answer is looked for alone.
func (h *History) WhyAt(ctx context.Context, at events.Seq, about Subject) (*Explanation, error) {
	facts, err := h.factsOf(ctx, at, about)
	if err != nil {
		return nil, err
	}
	return h.why(ctx, facts, about, func(seq events.Seq) (*Causes, error) {
		if facts.before(seq) {
			return facts, nil
		}
		if e, err := h.Event(ctx, seq); err != nil || alone(e) {
			return facts, err
		}
		return h.reach(ctx, extent{from: seq, to: seq}, eventLink(seq))
	})
}

// extent is of which events of a log it is wanted what they come from.
type extent struct {
	from, to events.Seq
	freed    bool // and of commands what freed them, which takes up to twice as long again
}

// reach returns causes that say of the events of a part what the log says, and in
// which the chains of some links end where they would if it were known what all of
// the log comes from.
func (h *History) reach(ctx context.Context, p extent, of ...Link) (*Causes, error) {
	cs, err := h.causes(ctx, extent{p.from - min(p.from, h.reached), p.to, p.freed})
	if err != nil {
		return nil, err
	}
	return h.reachOn(ctx, cs, p, of)
}

// reachOn is reach for who has the causes from firstReach on.
func (h *History) reachOn(ctx context.Context, cs *Causes, p extent, of []Link) (_ *Causes, err error) {
	for size := h.reached; ; {
		if cs.first == h.before+1 {
			return cs, nil
		}
		complete, known := true, map[Link]bool{}
		for _, l := range of {
			if complete, err = h.complete(ctx, cs, l, known); err != nil {
				return nil, err
			}
			if !complete {
				break
			}
		}
		if complete {
			return cs, nil
		}
		size *= 4
		if cs, err = h.causes(ctx, extent{p.from - min(p.from, size), p.to, p.freed}); err != nil {
			return nil, err
		}
	}
}

// complete reports whether the chain of a link is that of the whole log: it ends
// outside, at what somebody else than the controller has told, and what the
// controller wrote without a command was called for until then, or has the fact that
// it was fenced by among the causes. Who does not know that fact may not know all of
// when the write was called for. The links of which that is known need not be asked
// about again.
func (h *History) complete(ctx context.Context, cs *Causes, l Link, known map[Link]bool) (bool, error) {
	for ; !l.IsZero() && !known[l]; l = cs.Of(l) {
		if cs.before(l.Seq) {
			return false, nil
		}
		known[l] = true // or nobody asks any more
		w := cs.witness(l.Seq)
		_, command := l.Command()
		last := cs.Of(l).IsZero()
		if command || w.source != controller.Source || cs.certain[l.Seq] {
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

// causes returns what comes from what from the newest keyframe on that is at or
// before a part.
func (h *History) causes(ctx context.Context, p extent) (*Causes, error) {
	s, err := h.nearest(ctx, p.from)
	if err != nil {
		return nil, err
	}
	return h.causesOn(ctx, s, p)
}

// causesOn returns what comes from what from a state on, which nobody may use any
// more.
func (h *History) causesOn(ctx context.Context, s *projector.State, p extent) (*Causes, error) {
	t := newTracker(s)
	if p.freed {
		t.dues, t.out.freed = map[events.Key]*dues{}, map[events.Seq][]events.Seq{}
	}
	if err := h.pass(ctx, s, p.to, Visit{After: t.after}); err != nil {
		return nil, err
	}
	return t.out, nil
}

// behind are causes of some stretches of the log, by their order: what lies far
// between events that are told of is not followed.
type behind []stretch

type stretch struct {
	to events.Seq // the last event that they tell of
	*Causes
}

// of returns the causes that tell of an event.
func (b behind) of(seq events.Seq) *Causes {
	for _, x := range b {
		if seq <= x.to {
			return x.Causes
		}
	}
	return nil
}

// maxBetween is over how many events that nobody asks about causes go on.
const maxBetween = 20_000

// behind returns causes that tell of some events, and in which the chains of some of
// them are those of the whole log. As many stretches as there are cores are followed
// at once.
func (h *History) behind(ctx context.Context, seqs, chains []events.Seq) (b behind, err error) {
	all := h.stretches(seqs)
	for len(all) > 0 {
		now := all[:min(len(all), max(1, h.abreast))]
		all = all[len(now):]
		states, found, errs := make([]*projector.State, len(now)), make([]*Causes, len(now)), make([]error, len(now))
		for i, p := range now {
			if states[i], err = h.nearest(ctx, p.from-min(p.from, h.reached)); err != nil {
				return nil, err
			}
		}
		ahead.Together(len(now), func(i int) { found[i], errs[i] = h.causesOn(ctx, states[i], now[i]) })
		for i, p := range now {
			var of []Link
			for _, seq := range chains {
				if p.from <= seq && seq <= p.to {
					of = append(of, eventLink(seq))
				}
			}
			cs, err := found[i], errs[i]
			if err == nil {
				cs, err = h.reachOn(ctx, cs, p, of)
			}
			if err != nil {
				return nil, err
			}
			b = append(b, stretch{p.to, cs})
		}
	}
	return b, nil
}

// stretches returns the parts of the log in which some events lie together, in order.
func (h *History) stretches(seqs []events.Seq) (all []extent) {
	slices.Sort(seqs)
	seqs = slices.DeleteFunc(seqs, func(seq events.Seq) bool { return seq == 0 })
	for len(seqs) > 0 {
		n := 1
		for n < len(seqs) && (h.frames == nil || seqs[n]-seqs[n-1] <= maxBetween) {
			n++
		}
		all = append(all, extent{from: seqs[0], to: seqs[n-1]})
		seqs = seqs[n:]
	}
	return all
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
	for e, err := range h.bare(ctx, nil) {
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
	for e, err := range h.bare(ctx, nil) {
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
