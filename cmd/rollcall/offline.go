package main

import (
	"context"
	"iter"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/natsd"
)

// history is a log that is only read.
type history interface {
	events.Reader
	Info(ctx context.Context) (events.Info, error)
}

// openStopped reads the log of a data directory on which no instance runs,
// straight from its files. It starts nothing and writes nothing, and has read
// and compared the whole log when it returns.
func (a *archive) openStopped(ctx context.Context, t *target, subjects events.Subjects) error {
	release, err := natsd.Share(t.data)
	if err != nil {
		return err
	}
	l, err := datadir.Open(ctx, t.data, subjects, datadir.Reading{Whole: t.whole,
		Begun: func(far func() string) func() { return a.session.Progress("checking the log", far) }})
	if err != nil {
		release()
		return err
	}
	a.history, a.checked, a.close = l.Store(), l, release
	if err := a.findBegin(ctx); err != nil {
		release()
		return err
	}
	for _, text := range l.Warnings() {
		a.session.Warn(text)
	}
	return nil
}

// beginning is a log whose readers from the beginning get what there is of it.
type beginning struct{ *archive }

// Read implements events.Reader.
func (b beginning) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return b.archive.Read(ctx, max(after, b.begin().Seq))
}

// Tail implements events.Tailer where something may be appended.
func (a *archive) Tail(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	if t, ok := a.history.(events.Tailer); ok {
		return t.Tail(ctx, after)
	}
	return func(yield func(events.Event, error) bool) { yield(events.Event{}, a.wait("it")) }
}

// Scan reads without decoding, and has somebody look ahead, where the log can be read so.
func (a *archive) Scan(ctx context.Context, after events.Seq, look func([]byte) any) iter.Seq2[events.Event, error] {
	if r, ok := a.history.(recordedLog); ok {
		return r.Scan(ctx, after, look)
	}
	return a.Read(ctx, after)
}

// checkedText says what the log was compared with.
func (a *archive) checkedText() string {
	switch {
	case a.rec != nil && a.rec.redacted() != "":
		return "the recording is redacted: " + a.rec.redacted()
	case a.rec != nil:
		return "every block that was read is whole; rollcall record verify compares the chain as well"
	case a.checked == nil && a.dir == "":
		return ""
	case a.checked == nil:
		return "the instance that runs has compared its log with " + datadir.PositionFile + " when it started"
	}
	return a.checked.Text()
}
