package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/drive"
)

// Writer is where revisions and statuses of DaemonSets are written. Writing
// twice has the effect of once.
type Writer interface {
	// Write makes w so and returns it with the object as that is then. It is
	// called concurrently.
	Write(ctx context.Context, w Write) (Write, error)
}

// logWriter is the writer of a cluster that is nothing but its log: what is
// appended is so.
type logWriter struct{}

func (logWriter) Write(_ context.Context, w Write) (Write, error) { return w, nil }

// writer appends what was decided and what was written.
type writer struct {
	subjects events.Subjects
	to       Writer
	id       func() ulid.ULID
}

func newWriter(s events.Subjects, o Options) writer {
	w := writer{s, o.Writer, o.ID}
	if w.to == nil {
		w.to = logWriter{}
	}
	if w.id == nil {
		w.id = ulid.Make
	}
	return w
}

// step is what one decision wants to be appended: a plan, and then what is
// written. It is a drive.Step.
type step struct {
	writer
	key    events.Key // of the DaemonSet; zero: the garbage collector decided
	at     events.Seq // the state that was decided from
	plan   *events.Plan
	fence  events.Seq // of the plan
	writes []Write
	status bool // the last of writes is a status

	last events.Seq // the position of the last event that was stored
	lost bool       // a fence had moved, and one part was not stored
}

// Perform implements drive.Step. Plan and writes have a fence each: when one is
// lost the others are appended nevertheless.
func (s *step) Perform(ctx context.Context, log drive.Log) error {
	if s.plan != nil {
		if err := s.submit(ctx, log, PlanEntry(s.plan, s.subjects, s.fence)); err != nil {
			return err
		}
	}
	for _, w := range s.writes {
		done, err := s.to.Write(ctx, w)
		if err != nil {
			return fmt.Errorf("write %s %s of %s: %w", w.Kind, w.Object.GetName(), s.key, err)
		}
		e, err := done.Entry(s.subjects)
		if err != nil {
			return err
		}
		if err := s.submit(ctx, log, e); err != nil {
			return err
		}
	}
	if s.lost {
		return events.ErrConflict
	}
	return nil
}

func (s *step) submit(ctx context.Context, log drive.Log, e events.Entry) error {
	e.ID = s.id()
	seq, err := log.Submit(ctx, e)
	switch {
	case errors.Is(err, events.ErrConflict):
		s.lost = true
	case err != nil:
		return fmt.Errorf("append %s for %s: %w", e.Type, s.key, err)
	}
	s.last = max(s.last, seq)
	return nil
}
