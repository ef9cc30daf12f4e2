package replay

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"rollcall/events"
	"rollcall/events/ahead"
	"rollcall/projector"
)

// Log is a log that is only read: a running instance, a data directory, a NATS
// server or a recording.
type Log interface {
	events.Reader
	Info(ctx context.Context) (events.Info, error)
}

// History answers questions about a log: how things were at a position, and how
// they came to be. It writes nothing. All that is asked of it has an answer that
// follows from the log alone: the same log gives the same bytes. It has one user
// at a time.
type History struct {
	log    *near
	frames Keyframes // nil: none
	span   Span
	id     string     // of the log
	before events.Seq // position before its first event

	reached events.Seq // firstReach; tests have less
	looks   events.Seq // spreadLook; tests have less
	leg     events.Seq // minLeg; tests have less
	abreast int        // how many legs are passed over at once
}

// Span is what a history covers. A log with a gap cannot be read past it, so
// what is between the first and the last event is all there.
type Span struct {
	First events.Seq `json:"first"`
	Last  events.Seq `json:"last"`
	From  time.Time  `json:"from,omitzero"` // when the first was stored
	To    time.Time  `json:"to,omitzero"`   // when the last was
}

// beginner is a log that does not begin with position 1, and knows the state
// before its first event.
type beginner interface {
	Begin(ctx context.Context) (*projector.State, error)
}

// Begin returns the state from which on a log is folded: that of nothing, or of
// one that begins later the one before its first event.
func Begin(ctx context.Context, log events.Reader) (*projector.State, error) {
	if b, ok := log.(beginner); ok {
		return b.Begin(ctx)
	}
	return projector.New(""), nil
}

// Open returns the history of a log, as far as it goes now. frames may be nil.
func Open(ctx context.Context, log Log, frames Keyframes) (*History, error) {
	info, err := log.Info(ctx)
	if err != nil {
		return nil, err
	}
	h := &History{log: &near{Log: log, last: info.Last, bound: maxNear}, frames: frames, span: Span{Last: info.Last}, id: info.ID, before: info.Before,
		reached: firstReach, looks: spreadLook, leg: minLeg, abreast: ahead.Parts}
	if info.Last == info.Before {
		return h, nil
	}
	first, err := h.after(ctx, info.Before)
	if err != nil {
		return nil, err
	}
	last, err := h.after(ctx, info.Last-1)
	if err != nil {
		return nil, err
	}
	h.span.First, h.span.From, h.span.To = first.Seq, first.Stored, last.Stored
	return h, nil
}

// Extend has the history go on to an event that the log has got since, and when that
// was stored.
func (h *History) Extend(last events.Seq, stored time.Time) {
	if last > h.span.Last {
		h.span.Last, h.span.To, h.log.last = last, stored, last
	}
}

// Begin returns the state before the first event: what a fold of the whole
// history goes on from.
func (h *History) Begin(ctx context.Context) (*projector.State, error) {
	if h.before == 0 {
		return projector.New(h.id), nil
	}
	return Begin(ctx, h.log.Log)
}

// Span returns what the history covers.
func (h *History) Span() Span { return h.span }

// after returns the first event after a position.
func (h *History) after(ctx context.Context, seq events.Seq) (events.Event, error) {
	for e, err := range h.log.Read(ctx, seq) {
		return e, err
	}
	return events.Event{}, fmt.Errorf("read after #%d: %w", seq, events.ErrTruncated)
}

// Event returns the event at a position, as the log has it.
func (h *History) Event(ctx context.Context, seq events.Seq) (events.Event, error) {
	if err := h.holds(seq); err != nil {
		return events.Event{}, err
	}
	return h.after(ctx, seq-1)
}

// maxReadOn is over how many events a log is read on, instead of opened again,
// to get at the next one that is wanted.
const maxReadOn = 5000

// events returns some events, which are read in order.
func (h *History) events(ctx context.Context, seqs []events.Seq) (map[events.Seq]events.Event, error) {
	found := map[events.Seq]events.Event{}
	todo := slices.Compact(slices.Sorted(slices.Values(seqs)))
	for len(todo) > 0 {
		if err := h.holds(todo[0]); err != nil {
			return nil, err
		}
		for e, err := range h.log.Read(ctx, todo[0]-1) {
			if err != nil {
				return nil, err
			}
			if e.Seq == todo[0] {
				found[e.Seq], todo = e, todo[1:]
			}
			if len(todo) == 0 || todo[0]-e.Seq > maxReadOn {
				break
			}
		}
	}
	return found, nil
}

// holds refuses a position that the history does not have.
func (h *History) holds(seq events.Seq) error {
	if seq < max(h.span.First, 1) || seq > h.span.Last {
		return &events.Error{Code: "E-REPLAY-RANGE", What: fmt.Sprintf("position %d is not in the log", seq),
			Why: fmt.Sprintf("it goes from #%d to #%d", h.span.First, h.span.Last), Exit: events.ExitInput}
	}
	return nil
}

// At returns the state after the event at a position; 0, and the position before
// the first event, is what the history begins with.
func (h *History) At(ctx context.Context, seq events.Seq) (*projector.State, error) {
	if seq = cmp.Or(seq, h.before); seq != h.before {
		if err := h.holds(seq); err != nil {
			return nil, err
		}
	}
	return h.forward(ctx, nil, seq, Visit{})
}

// Visit is what is told of a walk. Neither keeps the state, which goes on.
type Visit struct {
	// Before is called with every event as the log has it, and the state before it.
	Before func(*projector.State, events.Event) error
	// After is called with every event as it was folded, and the state after it.
	After func(*projector.State, events.Event) error
}

// Walk folds the events after from up to to, and tells of each. It begins with
// the state at from, and ends early with an error of v.
func (h *History) Walk(ctx context.Context, from, to events.Seq, v Visit) error {
	s, err := h.At(ctx, from)
	if err != nil {
		return err
	}
	_, err = h.forward(ctx, s, to, v)
	return err
}

// forward folds up to a position, from a state or, if that is nil, from the
// newest keyframe.
func (h *History) forward(ctx context.Context, s *projector.State, to events.Seq, v Visit) (*projector.State, error) {
	if s == nil {
		var err error
		if s, err = h.nearest(ctx, to); err != nil {
			return nil, err
		}
	}
	if s.Seq() >= to {
		return s, nil
	}
	return fold(ctx, h.log, h.frames, s, to, v)
}

// pass is forward from a state for who passes over a log to look at it, and keeps
// nothing: the state has no chain and becomes no keyframe, and no event is kept
// near.
func (h *History) pass(ctx context.Context, s *projector.State, to events.Seq, v Visit) error {
	if s.Seq() >= to {
		return nil
	}
	s.Unchain()
	_, err := fold(ctx, looked{h.log.Log}, nil, s, to, v)
	return err
}

// looked is a log that is read, and looked at, ahead of who folds it.
type looked struct{ events.Reader }

// Read implements events.Reader.
func (l looked) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return ahead.Look(l.Reader.Read(ctx, after), new(projector.Looker).Look)
}

// fold folds a log from a state up to a position.
func fold(ctx context.Context, log events.Reader, frames Keyframes, s *projector.State, to events.Seq, v Visit) (*projector.State, error) {
	for e, err := range log.Read(ctx, s.Seq()) {
		if err != nil {
			return nil, fmt.Errorf("fold: %w", err)
		}
		if v.Before != nil {
			if err := v.Before(s, e); err != nil {
				return nil, err
			}
		}
		e = projector.Fold(s, e)
		if frames != nil {
			if err := frames.Add(ctx, s); err != nil {
				return nil, err
			}
		}
		if v.After != nil {
			if err := v.After(s, e); err != nil {
				return nil, err
			}
		}
		if e.Seq >= to {
			return s, nil
		}
	}
	return nil, fmt.Errorf("fold up to #%d: %w", to, events.ErrTruncated)
}
