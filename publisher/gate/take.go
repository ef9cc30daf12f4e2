package gate

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/publisher"
)

// maxTries bounds how often an event is merged again because what it is about has
// changed meanwhile.
const maxTries = 50

// maxAtomic is how many events a log takes at once.
const maxAtomic = 500

// take takes one event when its turn comes.
func (g *Gate) take(ctx context.Context, q *queue, t *told) publisher.Result {
	give, err := g.turnOf(ctx, q, t.turn)
	if err != nil {
		return refused(unavailable(err))
	}
	defer give()
	if t.known {
		defer g.config.Prints.expect(t)()
	}
	if r, known := g.before(ctx, t); known {
		return r
	}
	g.timely(t, newOverlay())
	warns := len(t.warns)
	for try := 0; ; try++ {
		t.warns = t.warns[:warns]
		seen := g.config.State.Objects().Position()
		g.identify(t, "")
		d, p := g.draft(ctx, t, newOverlay())
		switch {
		case p != nil:
			return refused(p)
		case d.same && !t.known:
			return accepted(t, d.at, true)
		}
		e := g.entry(t, d)
		if p := doubt(&e.Event); p != nil {
			return refused(p)
		}
		seq, err := g.submit(ctx, seen, e)
		switch {
		case err == nil:
			g.settle(ctx, seq, t)
			return g.placed(t, seq)
		case !errors.Is(err, events.ErrConflict) || try == maxTries:
			return refused(notTaken(err))
		}
		if err := g.catchUp(ctx, e.Expect.Subject); err != nil {
			return refused(unavailable(err))
		}
	}
}

// turnOf waits for a turn, and for room among what is being appended for its source.
func (g *Gate) turnOf(ctx context.Context, q *queue, t *turn) (give func(), err error) {
	if err := t.await(ctx); err != nil {
		return nil, err
	}
	return q.slot(ctx)
}

func refused(p *publisher.Problem) publisher.Result { return publisher.Result{Problem: p} }

func accepted(t *told, seq events.Seq, duplicate bool) publisher.Result {
	return publisher.Result{Answer: &publisher.Answer{Accepted: true, Seq: uint64(seq), ID: t.sent, Duplicate: duplicate, Warnings: t.warns}}
}

// before answers an event that was told before: with its first position, or, if it
// said something else then, with a refusal.
func (g *Gate) before(ctx context.Context, t *told) (r publisher.Result, known bool) {
	if !t.known {
		return r, false
	}
	seq, ok := g.config.State.Told(t.id)
	if !ok {
		return r, false
	}
	same, found, err := g.content(ctx, t, seq)
	switch {
	case err != nil:
		return refused(unavailable(err)), true
	case found && !same:
		return refused(reused(t, seq)), true
	case !found:
		t.warn("the first of this id is archived: whether it said the same was not looked at")
	}
	return accepted(t, seq, true), true
}

// identify gives an event its id that says how something is and came without one:
// that of its content as of where the log is now. more tells it from others of its
// batch.
func (g *Gate) identify(t *told, more string) {
	if !t.known {
		t.derive(strconv.FormatUint(uint64(g.config.State.Objects().Position()), 10) + more)
	}
}

// submit appends entries that were drafted from what the log had at seen or later. A
// sender waits: it gives up when the log takes nothing.
func (g *Gate) submit(ctx context.Context, seen events.Seq, es ...events.Entry) (events.Seq, error) {
	log := drive.Log{Log: g.config.Log, Seen: seen, GiveUp: func(err error) error {
		if errors.Is(err, events.ErrUnavailable) {
			return err
		}
		return nil
	}}
	return log.Submit(ctx, es...)
}

// catchUp returns when the fold has what came before an append that lost its fence.
func (g *Gate) catchUp(ctx context.Context, subject string) error {
	last, ok, err := g.config.Log.Latest(ctx, subject)
	if err != nil || !ok {
		return err
	}
	return g.config.State.Objects().Await(ctx, last.Seq)
}

// settle waits until what was appended is folded: who tells something and then
// asks, reads what was told.
func (g *Gate) settle(ctx context.Context, seq events.Seq, ts ...*told) {
	err := g.config.State.Objects().Await(ctx, seq)
	for _, t := range ts {
		if err == nil {
			err = g.config.Prints.await(ctx, t.id)
		}
	}
	if err != nil {
		g.config.Report(err) // it is in the log all the same
	}
}

// placed answers an event that was appended at seq, unless another instance has taken
// one of its id a moment before, of which the log knew: then the fold says where that
// is, and the prints what it was.
func (g *Gate) placed(t *told, seq events.Seq) publisher.Result {
	if where, ok := g.config.State.Told(t.id); ok {
		seq = where
	}
	if was, ok := g.config.Prints.get(t.id); ok && was != t.print() {
		return refused(reused(t, seq))
	}
	if t.late {
		g.counts.add(t.by.Name, "late", 1)
	}
	return accepted(t, seq, false)
}

func reused(t *told, seq events.Seq) *publisher.Problem {
	return refusal(http.StatusConflict, "E-TOLD-REUSED", "the id is that of another event",
		"%s was told at #%d with other content; give each event an id of its own", quote(t.sent), seq)
}

// notTaken says why the log did not take an event.
func notTaken(err error) *publisher.Problem {
	switch {
	case errors.Is(err, events.ErrTooLarge):
		return refusal(http.StatusRequestEntityTooLarge, "E-TOLD-SIZE", "too large", "%s; tell less", oneLine(err.Error()))
	case errors.Is(err, events.ErrConflict):
		p := busy("what the event is about changes too often")
		p.Status = http.StatusServiceUnavailable
		return p
	}
	return unavailable(err)
}

// together gives a batch its place, and returns what takes all of it or none, by
// one append.
func (g *Gate) together(ctx context.Context, q *queue, ts []*told) func() []publisher.Result {
	if len(ts) > maxAtomic {
		return func() []publisher.Result {
			return allOf(ts, refusal(http.StatusRequestEntityTooLarge, "E-TOLD-BATCH", "too many at once", "%d events are not taken all or none, at most %d are; send fewer", len(ts), maxAtomic))
		}
	}
	var keys []string
	for _, t := range ts {
		keys = append(keys, t.lanes()...)
	}
	slices.Sort(keys)
	turn := g.lanes.enter(slices.Compact(keys)...)
	return func() []publisher.Result {
		defer turn.leave()
		give, err := g.turnOf(ctx, q, turn)
		if err != nil {
			return allOf(ts, unavailable(err))
		}
		defer give()
		var known []*told
		for _, t := range ts {
			if t.known {
				known = append(known, t)
			}
		}
		defer g.config.Prints.expect(known...)()
		return g.takeAll(ctx, ts)
	}
}

// allOf refuses all events of a batch for one reason.
func allOf(ts []*told, p *publisher.Problem) []publisher.Result {
	results := make([]publisher.Result, len(ts))
	for i := range results {
		own := *p
		results[i] = refused(&own)
	}
	return results
}

func (g *Gate) takeAll(ctx context.Context, ts []*told) []publisher.Result {
	warns := make([]int, len(ts))
	for i, t := range ts {
		warns[i] = len(t.warns)
	}
	for try := 0; ; try++ {
		for i, t := range ts {
			t.warns = t.warns[:warns[i]]
		}
		results, seen := make([]publisher.Result, len(ts)), g.config.State.Objects().Position()
		entries, fresh, lost := g.bundle(ctx, ts, results)
		switch {
		case lost:
			return allRefused(results)
		case len(entries) == 0:
			return results
		}
		seq, err := g.submit(ctx, seen, entries...)
		switch {
		case err == nil:
			var taken []*told
			for _, i := range fresh {
				taken = append(taken, ts[i])
			}
			g.settle(ctx, seq, taken...)
			for n, i := range fresh {
				results[i] = g.placed(ts[i], seq-events.Seq(len(fresh)-1-n))
			}
			return results
		case !errors.Is(err, events.ErrConflict) || try == maxTries:
			return allOf(ts, notTaken(err))
		}
		for _, e := range entries {
			if e.Expect.Subject == "" {
				continue
			}
			if err := g.catchUp(ctx, e.Expect.Subject); err != nil {
				return allOf(ts, unavailable(err))
			}
		}
	}
}

// bundle makes the entries of a batch, each of what those before it have made. What
// was told before gets its answer and is left out; lost says that one is refused.
// fresh are the indices of those that have an entry.
func (g *Gate) bundle(ctx context.Context, ts []*told, results []publisher.Result) (entries []events.Entry, fresh []int, lost bool) {
	now, ids := newOverlay(), map[string]int{}
	for i, t := range ts {
		r, known := g.before(ctx, t)
		if first, twice := ids[t.sent+" "+t.from]; twice && t.known && !known {
			known, r = true, refused(refusal(http.StatusConflict, "E-TOLD-REUSED", "the id is there twice", "event %d of the batch has this id too; give each its own", first))
		}
		if known {
			results[i] = r
			lost = lost || r.Problem != nil
			continue
		}
		ids[t.sent+" "+t.from] = i
		g.timely(t, now)
		g.identify(t, " "+strconv.Itoa(i))
		d, p := g.draft(ctx, t, now)
		switch {
		case p != nil:
			results[i], lost = refused(p), true
			continue
		case d.same && !t.known:
			results[i] = accepted(t, d.at, true)
			continue
		}
		key := events.Ref{Kind: d.ref.Kind, Key: d.ref.Key}
		e := g.entry(t, d)
		if _, written := now.drafts[key]; written {
			e.Expect = events.Expect{} // an entry before it is what it follows on
		}
		if p := doubt(&e.Event); p != nil {
			results[i], lost = refused(p), true
			continue
		}
		if !d.same {
			now.drafts[key] = d
		}
		entries, fresh = append(entries, e), append(fresh, i)
	}
	return entries, fresh, lost
}
