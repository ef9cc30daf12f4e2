package simkubelet

import (
	"context"

	"rollcall/events"
	"rollcall/publisher"
)

// Perform implements publisher.Step.
func (s *Step) Perform(ctx context.Context, log events.Log) error {
	_, err := publisher.Append(ctx, log, s.Fence, s.Event)
	return err
}

// Run plays w on a log until ctx is done or the log cannot be read. To share
// the tail of one process with other parties, give w to publisher.Drive.
func Run(ctx context.Context, log events.Log, w *World, o publisher.Options) error {
	return publisher.Drive(ctx, log, o, w)
}
