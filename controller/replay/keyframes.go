package replay

import (
	"context"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/table"
)

// Keyframes are states of a log that were kept, so that not all of it has to be
// folded to know one.
type Keyframes interface {
	// Newest returns the newest keyframe that is kept at or before a position, as
	// State.Keyframe has written it, and its position; 0: none is.
	Newest(ctx context.Context, at events.Seq) (events.Seq, []byte, error)
	// Add is shown the state after every event that is folded, and keeps one when
	// it is due.
	Add(ctx context.Context, s *projector.State) error
}

// KeyframeEvery is how many events are between two keyframes.
const KeyframeEvery = 25_000

// MemoryKeyframes are keyframes for as long as a history is asked.
type MemoryKeyframes struct {
	every events.Seq
	bound int
	kept  []memoryKeyframe // by position
	bytes int
}

type memoryKeyframe struct {
	seq  events.Seq
	data []byte
}

// NewMemoryKeyframes returns keyframes of which one is due after so many events.
// When they take more than bound bytes, every second one is let go, and half as
// many are due from then on.
func NewMemoryKeyframes(every events.Seq, bound int) *MemoryKeyframes {
	return &MemoryKeyframes{every: every, bound: bound}
}

// Newest implements Keyframes.
func (m *MemoryKeyframes) Newest(_ context.Context, at events.Seq) (events.Seq, []byte, error) {
	i, found := m.index(at)
	if !found {
		i--
	}
	if i < 0 {
		return 0, nil, nil
	}
	return m.kept[i].seq, m.kept[i].data, nil
}

func (m *MemoryKeyframes) index(at events.Seq) (int, bool) {
	return slices.BinarySearchFunc(m.kept, at, func(k memoryKeyframe, at events.Seq) int {
		switch {
		case k.seq < at:
			return -1
		case k.seq > at:
			return 1
		}
		return 0
	})
}

// Add implements Keyframes.
func (m *MemoryKeyframes) Add(_ context.Context, s *projector.State) error {
	if s.Seq()%m.every != 0 {
		return nil
	}
	i, known := m.index(s.Seq())
	if known {
		return nil
	}
	data, err := s.Keyframe()
	if err != nil {
		return err
	}
	m.kept = slices.Insert(m.kept, i, memoryKeyframe{s.Seq(), data})
	for m.bytes += len(data); m.bytes > m.bound && len(m.kept) > 1; {
		m.thin()
	}
	return nil
}

func (m *MemoryKeyframes) thin() {
	m.every *= 2
	m.kept = slices.DeleteFunc(m.kept, func(k memoryKeyframe) bool { return k.seq%m.every != 0 })
	m.bytes = 0
	for _, k := range m.kept {
		m.bytes += len(k.data)
	}
}

// nearest returns the state of the newest keyframe at or before a position that
// is one of this log, or the state before the first event.
func (h *History) nearest(ctx context.Context, at events.Seq) (*projector.State, error) {
	k, err := h.keyframe(ctx, at)
	switch {
	case err != nil:
		return nil, err
	case k.data == nil:
		return h.Begin(ctx)
	}
	return projector.ReadKeyframe(k.data, h.id, table.New(table.History{}))
}

// keyframe returns the newest keyframe at or before a position that is one of this
// log; without data: there is none after the one that the log begins with. One of
// another format is passed over as one of another log is.
func (h *History) keyframe(ctx context.Context, at events.Seq) (k memoryKeyframe, err error) {
	for h.frames != nil && at > h.before {
		seq, data, err := h.frames.Newest(ctx, at)
		if err != nil {
			return k, fmt.Errorf("find a keyframe: %w", err)
		}
		if seq <= h.before {
			break
		}
		e, err := h.Event(ctx, seq)
		if err != nil {
			return k, err
		}
		if isOf(data, e) {
			return memoryKeyframe{seq, data}, nil
		}
		at = seq - 1
	}
	return k, nil
}

// isOf reports whether a keyframe can be read and is of an event.
func isOf(keyframe []byte, e events.Event) bool {
	head, err := projector.ReadKeyframeHead(keyframe)
	id := ""
	if e.ID != (ulid.ULID{}) {
		id = e.ID.String()
	}
	return err == nil && head.Seq == e.Seq && head.ID == id
}
