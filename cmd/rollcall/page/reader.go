package page

import (
	"context"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// reader is a history that requests ask in turns, since it has one user at a time.
// A page has one for each kind of question, so that what is asked for at every
// instant waits for nothing that takes long; each has the log open for itself.
type reader struct {
	open func(ctx context.Context) (*Past, error)
	turn chan struct{} // holds one place

	past    *Past // nil: nobody has asked yet
	h       *replay.History
	index   *index           // nil: of what it is asked nothing needs one
	end     *projector.State // at the end of the log, or before; nil: nobody has asked for it
	course  replay.Course
	witness *witness          // of what the course has passed
	rolls   []*replay.Rollout // up to the end of the log, or before
	rolled  events.Seq
	kept    kept
}

func newReader(open func(ctx context.Context) (*Past, error), x *index) *reader {
	return &reader{open: open, turn: make(chan struct{}, 1), index: x, kept: kept{docs: map[string]document{}}}
}

// take has do ask the history, when nobody else does, as far as the log goes now.
func (r *reader) take(ctx context.Context, do func() error) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turn }()
	if err := r.refresh(ctx); err != nil {
		return err
	}
	return do()
}

// drop lets go of a log of which nothing can be read any more.
func (r *reader) drop() {
	r.past.Close()
	fresh := newReader(r.open, nil)
	if r.index != nil {
		fresh.index = newIndex()
	}
	fresh.turn = r.turn
	*r = *fresh
}

// refresh opens the log, or looks how far it goes now.
func (r *reader) refresh(ctx context.Context) error {
	if r.past != nil && r.past.Gone != nil && r.past.Gone() {
		r.drop()
	}
	if r.past == nil {
		past, err := r.open(ctx)
		if err != nil {
			return err
		}
		r.past = past
	}
	info, err := r.past.Log.Info(ctx)
	if err != nil {
		return err
	}
	if r.h == nil || info.Last > r.h.Span().Last {
		if r.h, err = replay.Open(ctx, r.past.Log, r.past.Frames); err != nil {
			return err
		}
	}
	if r.h.Span().Last == 0 {
		return &events.Error{Code: "E-CLI-INSTANT", What: "the log is empty", Do: "wait for its first event", Exit: events.ExitInput}
	}
	if r.index == nil {
		return nil
	}
	return r.index.read(ctx, r.h, r.past.Log)
}

func (r *reader) close() {
	r.turn <- struct{}{}
	if r.past != nil {
		r.past.Close()
	}
}

// moment finds the instant that a parameter names; none: the end of the log.
func (q *query) moment(name string) (m replay.Moment, err error) {
	at := replay.Instant{}
	if text := q.FormValue(name); text != "" {
		if at, err = replay.ParseInstant(text, time.Now()); err != nil {
			return m, err
		}
	}
	m, err = q.past.Moment(q.Context(), at, q.h.Span().Last)
	if err == nil {
		m.Seq = max(m.Seq, q.h.Span().First)
	}
	return m, err
}

// state returns the state at a position, which nobody changes. That of the end is
// kept, and goes on with the log.
func (r *reader) state(ctx context.Context, seq events.Seq) (_ *projector.State, err error) {
	if seq != r.h.Span().Last {
		return r.h.At(ctx, seq)
	}
	r.end, err = r.h.Onwards(ctx, r.end, seq)
	return r.end, err
}

// rolloutsAt returns the rollouts up to a position. Those of the end are kept, and
// go on with the log.
func (r *reader) rolloutsAt(ctx context.Context, seq events.Seq) (_ []*replay.Rollout, err error) {
	if seq != r.h.Span().Last {
		return r.h.Rollouts(ctx, seq)
	}
	if seq != r.rolled {
		if r.rolled == 0 {
			r.witness = newWitness()
			r.course.See = r.witness.take
		}
		if r.rolls, err = r.course.Go(ctx, r.h); err != nil {
			r.rolled = 0
			return nil, err
		}
		r.rolled = seq
	}
	return r.rolls, nil
}

// subject reads the object that a parameter names.
func (q *query) subject(name string) (replay.Subject, error) {
	about, err := replay.ParseSubject(q.FormValue(name), "")
	if err != nil {
		return about, err
	}
	return q.h.Subject(q.Context(), q.at.Seq, about)
}
