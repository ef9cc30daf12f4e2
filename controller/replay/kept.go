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

// EventAt returns the event at a position of a log.
func EventAt(log events.Reader) func(context.Context, events.Seq) (events.Event, error) {
	return func(ctx context.Context, at events.Seq) (events.Event, error) {
		for e, err := range log.Read(ctx, at-1) {
			return e, err
		}
		return events.Event{}, fmt.Errorf("read #%d: %w", at, events.ErrTruncated)
	}
}
