package replay

import (
	"bytes"
	"context"
	"fmt"

	"rollcall/events"
	"rollcall/events/keyframes"
	"rollcall/projector"
)

// KeptKeyframes are the keyframes that are kept beside a log, and those that are
// made while it is asked.
type KeptKeyframes struct {
	*MemoryKeyframes
	store *keyframes.Store
	log   keyframes.Log
}

// NewKeptKeyframes returns the keyframes of a log that are in a store, and in
// memory. Each that is not good is passed over, and told of once.
func NewKeptKeyframes(m *MemoryKeyframes, s *keyframes.Store, of keyframes.Log) *KeptKeyframes {
	told := map[events.Seq]bool{}
	passed := of.Passed
	of.Passed = func(f keyframes.Frame, why error) {
		if !told[f.Seq] {
			told[f.Seq] = true
			passed(f, why)
		}
	}
	of.Format = projector.KeyframeFormat
	return &KeptKeyframes{m, s, of}
}

// Newest implements Keyframes.
func (k *KeptKeyframes) Newest(ctx context.Context, at events.Seq) (events.Seq, []byte, error) {
	seq, data, err := k.MemoryKeyframes.Newest(ctx, at)
	if err != nil {
		return 0, nil, err
	}
	_, err = k.store.Newest(ctx, seq, at, k.log, func(f keyframes.Frame, kept keyframes.Kept) error {
		head, err := projector.ReadKeyframeHead(kept.State)
		if err == nil && (head.Seq != f.Seq || !bytes.Equal(head.Chain, f.Chain[:])) {
			err = fmt.Errorf("it is the state at #%d", head.Seq)
		}
		if err == nil {
			seq, data = f.Seq, kept.State
		}
		return err
	})
	return seq, data, err
}

// CheckedKeyframes is what came of holding the keyframes that are kept beside a log
// against the states that it gives.
type CheckedKeyframes struct {
	Same  int             `json:"same"`
	Wrong []WrongKeyframe `json:"wrong,omitempty"`
	Other int             `json:"other,omitempty"` // have a format that is not read
}

// WrongKeyframe is one that is not what comes of the events before it.
type WrongKeyframe struct {
	Seq events.Seq `json:"seq"`
	Why string     `json:"why"`
}

// CheckKeyframes folds the whole log, from its beginning, and holds the keyframes
// of a store against the state at each of their positions.
func (h *History) CheckKeyframes(ctx context.Context, store *keyframes.Store) (c CheckedKeyframes, err error) {
	fs, err := store.List(ctx)
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	if err != nil {
		c.Wrong = append(c.Wrong, WrongKeyframe{Why: err.Error()})
	}
	at := map[events.Seq]keyframes.Frame{}
	for _, f := range fs {
		switch {
		case f.Format != projector.KeyframeFormat:
			c.Other++
		case f.Seq > h.span.Last:
			c.Wrong = append(c.Wrong, WrongKeyframe{f.Seq, fmt.Sprintf("the log ends at #%d", h.span.Last)})
		case f.Seq >= h.before:
			at[f.Seq] = f
		}
	}
	if len(at) == 0 {
		return c, nil
	}
	compare := func(s *projector.State, _ events.Event) error {
		f, ok := at[s.Seq()]
		if !ok {
			return nil
		}
		if why := compareKeyframe(ctx, store, f, s); why != "" {
			c.Wrong = append(c.Wrong, WrongKeyframe{f.Seq, why})
		} else {
			c.Same++
		}
		return ctx.Err()
	}
	s, err := h.Begin(ctx)
	if err == nil {
		err = compare(s, events.Event{})
	}
	if err == nil {
		_, err = h.forward(ctx, s, h.span.Last, Visit{After: compare})
	}
	return c, err
}

// compareKeyframe says why a keyframe is not that of a state; empty: it is.
func compareKeyframe(ctx context.Context, store *keyframes.Store, f keyframes.Frame, s *projector.State) string {
	want, err := s.Keyframe()
	var got keyframes.Kept
	if err == nil {
		got, err = store.Get(ctx, f)
	}
	switch {
	case err != nil:
		return err.Error()
	case f.Chain != s.Position().Chain:
		return "the running hash of the log is another there"
	case !bytes.Equal(got.State, want):
		return "it is not what comes of the events before it, or another version folds them otherwise"
	}
	return ""
}
