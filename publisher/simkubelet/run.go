package simkubelet

import (
	"context"

	"rollcall/events"
	"rollcall/events/drive"
)

// Perform implements drive.Step.
func (s *Step) Perform(ctx context.Context, log drive.Log) error {
	// The id is made of the position in the fence.
	_, err := log.Submit(ctx, events.Entry{Event: s.Event, Expect: s.Fence, Bound: true})
	return err
}
