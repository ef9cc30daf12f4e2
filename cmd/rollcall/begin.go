package main

import (
	"context"
	"fmt"

	"rollcall/events"
	"rollcall/events/chain"
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
		k, in, ok := a.rec.newest(a.from.Seq)
		if !ok {
			return projector.NewOver("", objects), nil
		}
		return readFrame(in, k, objects)
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
