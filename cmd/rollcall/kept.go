package main

import (
	"context"
	"fmt"

	"rollcall/controller/replay"
	"rollcall/events/blocks"
	"rollcall/events/keyframes"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/projector/table"
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
	return keyframes.Log{Event: keyframes.EventAt(a.history), Format: projector.KeyframeFormat, Passed: func(f keyframes.Frame, why error) {
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

// goOn returns the state from which the log is read on to an instant: that of the
// newest keyframe that is good, else one that is given.
func (a *archive) goOn(ctx context.Context, at replay.Instant, state *projector.State) (*projector.State, error) {
	info, err := a.Info(ctx)
	if err != nil || a.rec != nil {
		return state, err
	}
	m, err := a.moment(ctx, at, info.Last)
	if err != nil {
		return nil, err
	}
	store, err := a.store(ctx)
	if err != nil {
		return nil, err
	}
	_, err = store.Newest(ctx, state.Seq(), m.Seq, a.frameLog(), func(f keyframes.Frame, k keyframes.Kept) error {
		s, err := projector.ReadFrame(f, k, "", table.New(table.Recent))
		if err == nil {
			state = s
		}
		return err
	})
	return state, err
}

// checkKeyframes holds the keyframes beside the log against the log. Those of a
// recording rollcall record verify compares.
func (x *asked) checkKeyframes(ctx context.Context) (c replay.CheckedKeyframes, err error) {
	if x.log.rec != nil {
		return c, nil
	}
	s, err := x.log.store(ctx)
	if err != nil {
		return c, err
	}
	return x.CheckKeyframes(ctx, s)
}

// keyframesText says what came of it.
func keyframesText(c replay.CheckedKeyframes) (text string) {
	for _, w := range c.Wrong {
		text += fmt.Sprintf("the keyframe of #%d is wrong: %s\n", w.Seq, w.Why)
	}
	if c.Same > 0 {
		text += fmt.Sprintf("%s the same as the states of the log\n", plural(c.Same, "keyframe"))
	}
	if c.Other > 0 {
		text += fmt.Sprintf("%s of another format not looked at\n", plural(c.Other, "keyframe"))
	}
	return text
}
