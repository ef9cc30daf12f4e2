package simkubelet

import (
	"context"

	"rollcall/events"
	"rollcall/events/drive"
)

// Perform implements drive.Step.
func (s *Step) Perform(ctx context.Context, log drive.Log) error {
	_, err := log.Submit(ctx, events.Entry{Event: s.Event, Expect: s.Fence})
	return err
}

// Run plays w on a log until ctx is done or the log cannot be read. To share
// the tail of one process with other parties, give w to publisher.Drive.
func Run(ctx context.Context, log events.Log, w *World, o drive.Options) error {
	return drive.Drive(ctx, log, o, w)
}
