package page

import (
	"context"
	"net/http"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
)

// reader is the one history that all requests ask, in turns. What it has found it
// keeps while the log has not gone on.
type reader struct {
	open func(ctx context.Context) (*Past, error)
	turn chan struct{} // holds one place

	past     *Past // nil: nobody has asked yet
	h        *replay.History
	index    *index
	causes   *replay.Causes    // up to the position that was asked about last
	rollouts []*replay.Rollout // up to the end
	rolledTo events.Seq
}

func newReader(open func(ctx context.Context) (*Past, error)) *reader {
	return &reader{open: open, turn: make(chan struct{}, 1)}
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

// refresh opens the log, or looks how far it goes now.
func (r *reader) refresh(ctx context.Context) error {
	if r.past == nil {
		past, err := r.open(ctx)
		if err != nil {
			return err
		}
		r.past, r.index = past, newIndex()
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

// causesAt returns what comes from what, up to a position.
func (r *reader) causesAt(ctx context.Context, seq events.Seq) (*replay.Causes, error) {
	if r.causes != nil && r.causes.Last() == seq {
		return r.causes, nil
	}
	cs, err := r.h.Causes(ctx, seq)
	if err == nil {
		r.causes = cs
	}
	return cs, err
}

// rolloutsAt returns the rollouts up to a position. Those of the end are kept.
func (r *reader) rolloutsAt(ctx context.Context, seq events.Seq) ([]*replay.Rollout, error) {
	if seq == r.rolledTo {
		return r.rollouts, nil
	}
	all, err := r.h.Rollouts(ctx, seq)
	if err == nil && seq == r.h.Span().Last {
		r.rollouts, r.rolledTo = all, seq
	}
	return all, err
}

// subject reads the object that a parameter names.
func (q *query) subject(name string) (replay.Subject, error) {
	about, err := replay.ParseSubject(q.FormValue(name), "")
	if err != nil {
		return about, err
	}
	return q.h.Subject(q.Context(), q.at.Seq, about)
}

// tag lets a browser keep what it has of a position, which never changes.
func tag(w http.ResponseWriter, r *http.Request, value string) (known bool) {
	w.Header().Set("ETag", value)
	w.Header().Set("Cache-Control", "private, no-cache")
	if known = r.Header.Get("If-None-Match") == value; known {
		w.WriteHeader(http.StatusNotModified)
	}
	return known
}
