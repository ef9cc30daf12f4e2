package main

import (
	"context"
	"fmt"

	"rollcall/controller/replay"
	"rollcall/events/blocks"
	"rollcall/events/keyframes"
	"rollcall/events/stream"
	"rollcall/projector"
)

// store returns the keyframes that are kept beside the log: of the server that
// runs, or in the files of one that has stopped. A recording has its own.
func (a *archive) store(ctx context.Context) (*keyframes.Store, error) {
	if a.nc != nil {
		os, err := stream.OpenObjects(ctx, a.nc, a.subjects, stream.ObjectsOptions{Name: keyframes.Bucket})
		return keyframes.Open(os), err
	}
	os, err := blocks.OpenObjects(ctx, a.dir, a.subjects, keyframes.Bucket)
	return keyframes.Open(os), err
}

// frameLog is what the keyframes of the log are held against. Each that is not
// good is warned of.
func (a *archive) frameLog() keyframes.Log {
	return keyframes.Log{Event: replay.EventAt(a.history), Format: projector.KeyframeFormat, Passed: func(f keyframes.Frame, why error) {
		a.session.Warn(passedText(f, why))
	}}
}

// passedText says that a keyframe is not used, and why.
func passedText(f keyframes.Frame, why error) string {
	if f.Seq == 0 {
		return fmt.Sprintf("not all keyframes can be read: %v", why)
	}
	return fmt.Sprintf("the keyframe of position %d is passed over: %v", f.Seq, why)
}
