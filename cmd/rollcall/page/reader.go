package page

import (
	"context"
	"time"

	"rollcall/controller/replay"
	"rollcall/projector"
)

// reader is a history that requests ask in turns, since it has one user at a time.
// A page has one for each kind of question, so that what is asked for at every
// instant waits for nothing that takes long; each has the log open for itself. How
// things are at the end of the log is not asked of it, but of the ending that all
// readers share.
type reader struct {
	open func(ctx context.Context) (*Past, error)
	turn chan struct{} // holds one place
	end  *ending

	past   *Past // nil: nobody has asked yet
	h      *replay.History
	index  *index  // nil: of what it is asked nothing needs one
	course *course // up to the end of the log, or before
	kept   kept
}

func newReader(e *ending, x *index) *reader {
	return &reader{open: e.open, end: e, turn: make(chan struct{}, 1), index: x, course: newCourse(), kept: kept{docs: map[string]document{}}}
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
	fresh := newReader(r.end, nil)
	if r.index != nil {
		fresh.index = newIndex()
	}
	fresh.turn = r.turn
	*r = *fresh
}

// refresh opens the log, or learns how far it goes now.
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
	span, err := r.end.reach(ctx, r.index)
	if err != nil {
		return err
	}
	if r.h == nil {
		if r.h, err = replay.Open(ctx, r.past.Log, r.past.Frames); err != nil {
			return err
		}
	}
	return r.upTo(ctx, span)
}

// upTo has the history, and the index, go as far as the end of the log.
func (r *reader) upTo(ctx context.Context, span replay.Span) error {
	r.h.Extend(span.Last, span.To)
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
	text := q.FormValue(name)
	if text == "" {
		span := q.h.Span()
		return replay.Moment{Point: replay.Point{Seq: span.Last, Time: span.To}, Now: span.To}, nil
	}
	at, err := replay.ParseInstant(text, time.Now())
	if err != nil {
		return m, err
	}
	m, err = q.past.Moment(q.Context(), at, q.h.Span().Last)
	if err == nil {
		m.Seq = max(m.Seq, q.h.Span().First)
	}
	return m, err
}

// hold waits for the end of the log, where a question about it stands from then on.
// Nobody folds on until the question lets go, or has its answer.
func (q *query) hold() error {
	if q.held {
		return nil
	}
	err := q.end.enter(q.Context())
	if err != nil {
		return err
	}
	q.held = true
	if err := q.end.fold(q.Context()); err != nil {
		return err
	}
	if q.now {
		q.at = q.end.moment()
	}
	q.index.hear(q.end.heard)
	return q.upTo(q.Context(), q.end.h.Span())
}

// letGo lets others have the end of the log.
func (q *query) letGo() {
	if q.held {
		q.held = false
		q.end.leave()
	}
}

// state returns the state at the instant, which nobody changes. That of the end is
// held.
func (q *query) state() (*projector.State, error) {
	if q.now || q.at.Seq == q.h.Span().Last {
		if err := q.hold(); err != nil {
			return nil, err
		}
		if q.end.state.Seq() == q.at.Seq {
			return q.end.state, nil
		}
		q.letGo()
	}
	return q.h.At(q.Context(), q.at.Seq)
}

// subject reads the object that a parameter names.
func (q *query) subject(name string) (replay.Subject, error) {
	about, err := replay.ParseSubject(q.FormValue(name), "")
	if err != nil {
		return about, err
	}
	return q.h.Subject(q.Context(), q.at.Seq, about)
}
