package instance

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/keyframes"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/projector/table"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

// openKeyframes opens the keyframes beside the log. A log in memory has none: they
// would be gone with it. A server that refuses them has none either, which is
// told.
func (in *Instance) openKeyframes(ctx context.Context) {
	if in.Memory {
		return
	}
	os, err := stream.OpenObjects(ctx, in.NC, in.Subjects, stream.ObjectsOptions{Name: keyframes.Bucket, Create: true, Replicas: in.Log.Replicas()})
	if err == nil && in.keeping != nil {
		err = in.keeping.Rescue(ctx, os)
	}
	if err != nil {
		in.Console.Warn(fmt.Sprintf("no keyframes are kept: %v", err))
		return
	}
	in.frames = keyframes.Open(os)
}

// resumed is the state that an instance goes on from.
type resumed struct {
	frame   keyframes.Frame
	parties []byte // what the parties keep
	state   *projector.State
	took    time.Duration     // to read it, about as long as to make one
	world   *simkubelet.World // that has observed it already; nil: none has
}

// newest returns what to go on from at or before a position: the newest keyframe
// that is good, or nil. Those of this program that are not good are let go.
func (in *Instance) newest(ctx context.Context, at events.Seq) (*resumed, error) {
	if in.frames == nil {
		return nil, nil
	}
	s := shelf{in.Log.Log, in.Subjects, in.frames, func(f keyframes.Frame, why error) { in.passOver(ctx, f, why) }}
	if from := in.early.take(); from != nil && s.isNewest(ctx, from.frame, at) {
		return from, nil
	}
	return newestOf(ctx, s, at)
}

// newestOf returns the newest keyframe at or before a position that is good, or
// nil.
func newestOf(ctx context.Context, s shelf, at events.Seq) (from *resumed, err error) {
	began := time.Now()
	_, err = s.store.Newest(ctx, 0, at, s.of(), func(f keyframes.Frame, k keyframes.Kept) (err error) {
		from, err = readResumed(s.subjects, f, k, table.New(table.Recent), began)
		return err
	})
	return from, err
}

// of is what keyframes are held against.
func (s shelf) of() keyframes.Log {
	return keyframes.Log{Event: keyframes.EventAt(s.log), Format: projector.KeyframeFormat, Passed: s.passed}
}

// readResumed reads a keyframe, which somebody has begun to look for at a time, into
// empty tables: first these, then the rest of the state.
func readResumed(subjects events.Subjects, f keyframes.Frame, k keyframes.Kept, objects *table.Tables, began time.Time) (*resumed, error) {
	st, err := projector.ReadFrame(f, k, "", objects)
	if err == nil {
		err = executor.New(subjects, nil).Resume(k.Parties, st.UnderWay())
	}
	if err != nil {
		return nil, err
	}
	// The bytes of the state are one piece with those of the parties, and are let go.
	return &resumed{frame: f, parties: bytes.Clone(k.Parties), state: st, took: time.Since(began)}, nil
}

// endTime bounds how long a keyframe takes that is made at the end.
const endTime = 30 * time.Second

// keepAtEnd keeps a keyframe when the engine has ended. One that cannot be kept is
// told: the next start reads more of the log.
func (in *Instance) keepAtEnd() error {
	if _, err := in.engine.alive(); in.framer == nil || err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if err := in.framer.finish(ctx); err != nil {
		in.Console.Warn(err.Error())
	}
	return nil
}

// passOver says that a keyframe is not used, and lets it go.
func (in *Instance) passOver(ctx context.Context, f keyframes.Frame, why error) {
	text := passedText(f, why)
	in.Console.Warn(text)
	in.passed = text
	if f.Seq > 0 && !f.Pinned {
		if err := in.frames.Delete(ctx, f); err != nil {
			in.Console.Warn(err.Error())
		}
	}
}

// passedText says which keyframe is not used.
func passedText(f keyframes.Frame, why error) string {
	if f.Seq == 0 {
		return fmt.Sprintf("not all keyframes can be read: %v", why)
	}
	return fmt.Sprintf("the keyframe of position %d is passed over, and more of the log is read instead: %v", f.Seq, why)
}

// keyframesText says in /readyz how the keyframes are. An instance without any is
// ready all the same.
func (in *Instance) keyframesText() (string, error) {
	switch {
	case in.frames == nil:
		return "none are kept", nil
	case in.passed != "":
		return in.passed, nil
	}
	return "good", nil
}

// resume has the parties know what a state says, as if they had read the log up
// to there. What a simulated kubelet was about to do it does a little later: its
// delays begin again.
func (s *resumed) resume(parties []drive.Party) error {
	objects := s.state.Objects()
	for _, p := range parties {
		switch p := p.(type) {
		case *executor.Executor:
			each(objects, func(e events.Event) { p.Observe(e, time.Now()) })
			if err := p.Resume(s.parties, s.state.UnderWay()); err != nil {
				return err
			}
		case *simkubelet.World:
			if p == s.world {
				continue
			}
			each(objects, func(e events.Event) { p.Observe(e, time.Now()) })
		default: // they read the state
			p.Observe(events.Event{Seq: s.state.Seq(), Stored: objects.Time()}, time.Now())
		}
	}
	return nil
}

// each tells of every object as of the event that has said it last: nodes first,
// and what pods need before pods.
func each(objects *table.Tables, f func(events.Event)) {
	first := []events.Kind{events.Node, events.ConfigMap, events.Secret, events.StorageClass, events.PersistentVolume, events.PersistentVolumeClaim, events.DaemonSet, events.ControllerRevision, events.Pod}
	for _, kind := range first {
		rows, _ := objects.Of(kind).Snapshot()
		rows.Scan(func(i *table.Item) bool {
			f(events.Event{Seq: events.Seq(i.Rev), Stored: objects.Time(), Body: i.Object})
			return true
		})
	}
}
