package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/projector/table"
)

// findBegin finds the keyframe that a log begins with whose first events were
// archived: the first one that the log has the event of.
func (a *archive) findBegin(ctx context.Context) error {
	info, err := a.history.Info(ctx)
	if err != nil || info.Before == 0 {
		return err
	}
	store, err := a.store(ctx)
	if err != nil {
		return err
	}
	all, _ := store.List(ctx) // what cannot be listed is missed below
	for _, f := range all {
		if f.Seq <= info.Before || f.Format != projector.KeyframeFormat {
			continue
		}
		e, err := a.eventAt(ctx, f.Seq)
		if err != nil {
			return err
		}
		if f.Check(e) == nil {
			a.from, a.beginsWith = chain.Position{Log: info.ID, Seq: f.Seq, Chain: f.Chain}, f
			return nil
		}
	}
	gap := events.Gap(info.Before, info.Before+1)
	gap.What, gap.Where = fmt.Sprintf("the log begins with position %d", info.Before+1), info.ID
	gap.Why = "it has no keyframe there that is good, so that nobody knows what was before"
	gap.Do = "read what was archived with --rec, together with --data or --nats-url"
	return gap
}

// eventAt returns the event at a position.
func (a *archive) eventAt(ctx context.Context, seq events.Seq) (events.Event, error) {
	for e, err := range a.history.Read(ctx, seq-1) {
		return e, err
	}
	return events.Event{}, events.Truncated(seq, seq-1)
}

// Info implements history: the log begins where its state is known.
func (a *archive) Info(ctx context.Context) (events.Info, error) {
	i, err := a.history.Info(ctx)
	i.Before = max(i.Before, a.from.Seq)
	return i, err
}

// begin is the position before the first event that the log can be read from.
func (a *archive) begin() chain.Position { return a.from }

// Begin implements replay.Begin. A recording without a keyframe of its own
// before its first event is refused by who reads what was before.
func (a *archive) Begin(ctx context.Context) (*projector.State, error) {
	return a.kept(ctx, table.New(table.History{}))
}

// kept returns the state from which on the log can be folded: that of nothing, or
// of a log that begins later the one before its first event, if it is kept. Its
// objects are in tables, which are empty.
func (a *archive) kept(ctx context.Context, objects *table.Tables) (*projector.State, error) {
	switch {
	case a.from.Seq == 0:
		return projector.NewOver("", objects), nil
	case a.rec != nil:
		k, ok := a.rec.Newest(frameKind, projector.KeyframeFormat, a.from.Seq)
		if !ok {
			return projector.NewOver("", objects), nil
		}
		return readFrame(a.rec, k, objects)
	}
	store, err := a.store(ctx)
	if err != nil {
		return nil, err
	}
	k, err := store.Get(ctx, a.beginsWith)
	if err != nil {
		return nil, fmt.Errorf("read the keyframe that the log begins with: %w", err)
	}
	st, err := projector.ReadKeyframe(k.State, a.from.Log, objects)
	if err == nil && st.Position() != a.from {
		err = fmt.Errorf("the keyframe that the log begins with is of position %d", st.Seq())
	}
	return st, err
}

// joined is a log that goes on from a recording of what was archived of it.
type joined struct {
	rec *recording.Recording
	log history
	at  events.Seq // the last event of the recording, which the log knows too
}

// Info implements history.
func (j joined) Info(ctx context.Context) (events.Info, error) {
	i, err := j.log.Info(ctx)
	i.Before = j.rec.Before().Seq
	return i, err
}

// Read implements events.Reader.
func (j joined) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		if after < j.at {
			for e, err := range j.rec.Read(ctx, after) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
		j.log.Read(ctx, max(after, j.at))(yield)
	}
}

// join has the log be read on from a recording. It refuses one that does not end
// with an event that the log has, with the same running hash up to there.
func (a *archive) join(ctx context.Context, r *recording.Recording) error {
	m := r.Manifest()
	refuse := func(why string) error {
		return &events.Error{Code: "E-REC-SEAM", What: "the recording and the log do not meet", Where: a.dir, Why: why,
			Do: "give the recording that was archived of this log", Exit: events.ExitInput}
	}
	info, err := a.history.Info(ctx)
	switch {
	case err != nil:
		return err
	case m.Redacted != "" || r.Torn() != nil:
		return refuse("the recording is redacted, or torn")
	case m.Log != info.ID:
		return refuse(fmt.Sprintf("the recording is of log %s, and this is %s", m.Log, info.ID))
	case m.Last.Seq < a.from.Seq:
		return refuse(fmt.Sprintf("the recording ends with #%d, and the log begins after #%d", m.Last.Seq, a.from.Seq))
	case m.Last.Seq > info.Last:
		return refuse(fmt.Sprintf("the recording ends with #%d, and the log with #%d", m.Last.Seq, info.Last))
	}
	c := chain.From(a.from)
	for e, err := range a.history.Read(ctx, a.from.Seq) {
		if c.Seq == m.Last.Seq {
			break
		}
		if err != nil {
			return err
		}
		c.Take(e.Seq, e.Raw)
	}
	if c.Seq != m.Last.Seq || !bytes.Equal(c.Chain[:], m.Last.Chain[:]) {
		return refuse(fmt.Sprintf("up to #%d they have other events", m.Last.Seq))
	}
	a.history, a.rec, a.from = joined{r, a.history, m.Last.Seq}, r, r.Before()
	return nil
}
