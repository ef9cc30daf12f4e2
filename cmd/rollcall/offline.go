package main

import (
	"context"
	"fmt"
	"iter"

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
	a.closers = append(a.closers, release)
	c := &logChecker{dir: t.data, subjects: subjects}
	done := a.session.progress("checking the log", c.far)
	defer done()
	l, err := c.check(ctx)
	if err == nil && l == nil {
		err = noStream(t.data, subjects)
	}
	if err != nil {
		return err
	}
	done()
	a.history, a.checked, a.live = l.store, l, false
	if l.lost > 0 {
		fmt.Fprintln(a.session.err, "warning: "+l.lostText())
	}
	if l.report.Torn != nil {
		fmt.Fprintf(a.session.err, "warning: left out %s, which was never acknowledged\n", l.report.Torn)
	}
	return nil
}

// Tail implements events.Tailer where something may be appended.
func (a *archive) Tail(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	if t, ok := a.history.(events.Tailer); ok {
		return t.Tail(ctx, after)
	}
	return func(yield func(events.Event, error) bool) { yield(events.Event{}, a.wait("it")) }
}

// checkedText says what the log was compared with.
func (a *archive) checkedText() string {
	switch {
	case a.checked == nil && a.dir == "":
		return ""
	case a.checked == nil:
		return "the instance that runs has compared its log with " + positionFile + " when it started"
	}
	w := a.checked.witness
	if w.position.Seq == 0 && w.acked == 0 {
		return fmt.Sprintf("every record is whole; the data directory has no %s, so that nothing tells whether the log had more", positionFile)
	}
	mode := modeSync
	if w.relaxed {
		mode = modeRelaxed
	}
	upTo := w.position.Seq
	if a.checked.lost > 0 {
		upTo = w.synced.Seq
	}
	text := fmt.Sprintf("every record is whole, up to #%d the log is the one that was read before (%s, %s)", upTo, positionFile, mode)
	if w.acked > w.position.Seq && a.checked.lost == 0 {
		text += fmt.Sprintf(", and it holds what was acknowledged up to #%d", w.acked)
	}
	return text
}
