package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/projector/table"
)

// frameKind is the kind of the keyframes that recordings get here: states of the
// projector, of its version.
const frameKind = "state"

// frames makes the keyframes of a recording by folding the log.
type frames struct{ state *projector.State }

// Take implements recording.Frames.
func (f frames) Take(e events.Event) { projector.Fold(f.state, e) }

// Keyframe implements recording.Frames.
func (f frames) Keyframe() (recording.Keyframe, error) {
	b, err := f.state.Keyframe()
	return recording.Keyframe{At: f.state.Position(), Kind: frameKind, Version: projector.KeyframeFormat, Data: b}, err
}

// frames returns what makes the keyframes of a recording of the log; nil if it
// has no beginning that a fold can go on from.
func (a *archive) frames(ctx context.Context) (recording.Frames, error) {
	st, err := a.Begin(ctx)
	if err != nil || st.Seq() != a.begin().Seq {
		return nil, err
	}
	return frames{st}, nil
}

// recordedFrames are the keyframes of recordings, and those that are made while
// they are asked.
type recordedFrames struct {
	*replay.MemoryKeyframes
	rec recordedLog
}

// Newest implements replay.Keyframes.
func (f recordedFrames) Newest(ctx context.Context, at events.Seq) (events.Seq, []byte, error) {
	seq, data, err := f.MemoryKeyframes.Newest(ctx, at)
	k, in, ok := f.rec.newest(at)
	if err != nil || !ok || k.At.Seq <= seq {
		return seq, data, err
	}
	r, err := in.Keyframe(k)
	if err != nil {
		return 0, nil, err
	}
	if head, err := projector.ReadKeyframeHead(r.Data); err != nil || head.Seq != k.At.Seq || !bytes.Equal(head.Chain, k.At.Chain[:]) {
		return 0, nil, noFrame(k.At.Seq, "it is of another position")
	}
	return k.At.Seq, r.Data, nil
}

// Add implements replay.Keyframes.
func (f recordedFrames) Add(ctx context.Context, s *projector.State) error {
	if s.Seq()%replay.KeyframeEvery == 0 {
		if k, _, ok := f.rec.newest(s.Seq()); ok && k.At.Seq+replay.KeyframeEvery > s.Seq() {
			return nil // what the recording has is near
		}
	}
	return f.MemoryKeyframes.Add(ctx, s)
}

// keyframes are those from which questions to the log go on.
func (a *archive) keyframes(ctx context.Context) (replay.Keyframes, error) {
	m := replay.NewMemoryKeyframes(replay.KeyframeEvery, keyframesBound)
	if a.rec != nil {
		return recordedFrames{m, a.rec}, nil
	}
	s, err := a.store(ctx)
	if err != nil {
		return nil, err
	}
	return replay.NewKeptKeyframes(m, s, a.frameLog()), nil
}

// readFrame reads a keyframe, and holds its position against the recording's.
func readFrame(r *recording.Recording, k recording.KeyframeInfo, objects *table.Tables) (*projector.State, error) {
	f, err := r.Keyframe(k)
	if err != nil {
		return nil, err
	}
	st, err := projector.ReadKeyframe(f.Data, k.At.Log, objects)
	if err == nil && st.Position() != k.At {
		err = fmt.Errorf("it is of position %d", st.Seq())
	}
	if err != nil {
		return nil, noFrame(k.At.Seq, err.Error())
	}
	return st, nil
}

// compareFrames folds the events of a recording and compares every state that is
// kept with the one that comes of them. It reports how many are the same: those of
// another kind or version are passed over, and the one before the first event can
// only be read.
func compareFrames(ctx context.Context, r *recording.Recording) (same int, err error) {
	var kept []recording.KeyframeInfo
	for _, k := range r.Keyframes() {
		if k.Kind == frameKind && k.Version == projector.KeyframeFormat {
			kept = append(kept, k)
		}
	}
	st := projector.New(r.Manifest().Log)
	if len(kept) > 0 && kept[0].At.Seq == r.Before().Seq {
		if st, err = readFrame(r, kept[0], table.New(table.History{})); err != nil {
			return 0, err
		}
		same, kept = 1, kept[1:]
	}
	if len(kept) == 0 || st.Seq() != r.Before().Seq {
		return same, nil
	}
	for e, err := range r.Read(ctx, st.Seq()) {
		if err != nil {
			return same, err
		}
		if projector.Fold(st, e); e.Seq != kept[0].At.Seq {
			continue
		}
		want, err := st.Keyframe()
		if err != nil {
			return same, err
		}
		if f, err := r.Keyframe(kept[0]); err != nil || !bytes.Equal(f.Data, want) {
			return same, cmp.Or(err, noFrame(e.Seq, "it is not what comes of the events before it, or another version folds them otherwise"))
		}
		if same, kept = same+1, kept[1:]; len(kept) == 0 {
			break
		}
	}
	return same, nil
}

func noFrame(at events.Seq, why string) error {
	return &events.Error{Code: "E-REC-DAMAGED", What: fmt.Sprintf("the keyframe of position %d is none", at), Why: why,
		Do: "make the recording again from the log, or get another copy of it", Exit: events.ExitHalt}
}
