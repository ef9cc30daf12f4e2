package page

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// ending is the end of a log, for all that is asked about it: one fold, that goes on
// as the log does, with what is reckoned from event to event beside it. While a page
// follows, it is that which the page is shown; else it goes on when it is asked for.
type ending struct {
	open func(ctx context.Context) (*Past, error)
	turn chan struct{} // has one place: who holds it uses what is below

	past   *Past // nil: nobody has asked yet
	h      *replay.History
	looked time.Time        // when the log was asked how far it goes; zero: it has to be
	state  *projector.State // nil: nobody has asked for it
	course *course          // that has come as far as the state, and goes on with it; nil: none
	tail   *tail            // nil: no page follows
	heard  []heard          // events that were folded one by one, of the last minute

	span atomic.Pointer[replay.Span] // of h, for who does not wait for his turn
}

// heard is what an index has to know of an event.
type heard struct {
	seq     events.Seq
	stored  time.Time
	subject string
}

// Of what was heard so much is kept.
const (
	heardFor = time.Minute
	maxHeard = 100_000
)

func newEnding(open func(ctx context.Context) (*Past, error)) *ending {
	return &ending{open: open, turn: make(chan struct{}, 1)}
}

// enter waits until nobody else uses the end, and looks how far it is now.
func (e *ending) enter(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := e.look(ctx); err != nil {
		e.leave()
		return err
	}
	return nil
}

func (e *ending) leave() {
	if e.h != nil {
		span := e.h.Span()
		e.span.Store(&span)
	}
	<-e.turn
}

// reach returns how far the log goes, and tells an index of what was heard. Who
// needs no more does not wait for those who fold, if it is known at all.
func (e *ending) reach(ctx context.Context, x *index) (replay.Span, error) {
	select {
	case e.turn <- struct{}{}:
		<-e.turn // and takes it in order
	default:
		if span := e.span.Load(); span != nil {
			return *span, nil
		}
	}
	if err := e.enter(ctx); err != nil {
		return replay.Span{}, err
	}
	defer e.leave()
	x.hear(e.heard)
	return e.h.Span(), nil
}

// look opens the log, or asks how far it goes now. One that is followed says so by
// itself, and others are asked once a second between all.
func (e *ending) look(ctx context.Context) error {
	if e.past != nil && e.past.Gone != nil && e.past.Gone() {
		e.drop()
	}
	if e.past == nil {
		past, err := e.open(ctx)
		if err != nil {
			return err
		}
		e.past = past
	}
	if !e.looked.IsZero() && (e.tail != nil || time.Since(e.looked) < freshFor) {
		return nil
	}
	info, err := e.past.Log.Info(ctx)
	if err != nil {
		return err
	}
	if e.h == nil {
		h, err := replay.Open(ctx, e.past.Log, e.past.Frames)
		if err != nil {
			return err
		}
		if h.Span().Last == 0 {
			return &events.Error{Code: "E-CLI-INSTANT", What: "the log is empty", Do: "wait for its first event", Exit: events.ExitInput}
		}
		e.h = h
	}
	if info.Last > e.h.Span().Last {
		for x, err := range e.past.Log.Read(ctx, info.Last-1) {
			if err != nil {
				return err
			}
			e.h.Extend(x.Seq, x.Stored)
			break
		}
	}
	e.looked = time.Now()
	return nil
}

// drop lets go of a log of which nothing can be read any more.
func (e *ending) drop() {
	e.past.Close()
	e.past, e.h, e.looked, e.state, e.course, e.tail, e.heard = nil, nil, time.Time{}, nil, nil, nil, nil
	e.span.Store(nil)
}

// fold has the state go on to the end.
func (e *ending) fold(ctx context.Context) (err error) {
	last := e.h.Span().Last
	if e.state == nil {
		e.state, err = e.h.Onwards(ctx, nil, last)
		return err
	}
	if e.state.Seq() >= last {
		return nil
	}
	for x, err := range e.past.Log.Read(ctx, e.state.Seq()) {
		if err != nil {
			return err
		}
		if e.take(x); x.Seq >= last {
			return nil
		}
	}
	return nil
}

// take folds the next event.
func (e *ending) take(x events.Event) {
	if e.tail != nil {
		e.tail.before(e.state, x)
	}
	subject := x.Subject
	x = projector.Fold(e.state, x)
	if e.tail != nil {
		e.tail.after(e.state, x)
	}
	if e.course != nil {
		e.course.Take(e.state, x)
	}
	e.h.Extend(x.Seq, x.Stored)
	switch n := len(e.heard); {
	case n >= maxHeard:
		e.heard = slices.Delete(e.heard, 0, n/2)
	case n > 0 && x.Stored.Sub(e.heard[0].stored) > 2*heardFor:
		e.heard = slices.Delete(e.heard, 0, e.upto(x.Stored.Add(-heardFor)))
	}
	e.heard = append(e.heard, heard{x.Seq, x.Stored, subject})
}

// upto returns how many of what was heard was stored up to a time.
func (e *ending) upto(t time.Time) int {
	i, _ := slices.BinarySearchFunc(e.heard, t.UnixNano()+1, func(h heard, ns int64) int { return cmp.Compare(h.stored.UnixNano(), ns) })
	return i
}

// moment is the end as an instant.
func (e *ending) moment() replay.Moment {
	span := e.h.Span()
	return replay.Moment{Point: replay.Point{Seq: span.Last, Time: span.To}, Now: span.To}
}

// again has the log be asked how far it goes by who comes next: something was written.
func (e *ending) again(ctx context.Context) {
	select {
	case e.turn <- struct{}{}:
		e.looked = time.Time{}
		e.leave()
	case <-ctx.Done():
	}
}

func (e *ending) close() {
	e.turn <- struct{}{}
	if e.past != nil {
		e.past.Close()
	}
}
