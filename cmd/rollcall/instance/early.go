package instance

import (
	"context"
	"slices"
	"time"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/keyframes"
	"rollcall/projector"
	"rollcall/publisher/simkubelet"
)

// early reads the newest keyframe of a data directory from its files while the
// server reads its store: for a large cluster each takes seconds, on one core. What
// was read is held against the log before it is used, as every keyframe is; one that
// cannot be read so, since the server may move its files, is read through the server.
type early struct {
	done chan struct{}
	from *resumed // for who has received from done; nil: nothing was read
}

// check has a data directory checked before the server reads it, and starts to read
// its newest keyframe.
func (in *Instance) check(ctx context.Context, dir string) error {
	err := in.keeping.Check(ctx, dir)
	if err == nil {
		in.readEarly(dir)
	}
	return err
}

// world returns the simulated world as of the state that the instance goes on from,
// if that has been observed, or before the first event.
func (in *Instance) world(from *resumed) *simkubelet.World {
	if from != nil && from.world != nil {
		return from.world
	}
	return simkubelet.New(in.Subjects, in.Delays)
}

// readEarly starts to read the newest keyframe of a directory that was checked.
func (in *Instance) readEarly(dir string) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &early{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.from = earliest(ctx, dir, in.Subjects)
		if e.from != nil && in.Record == nil {
			e.from.world = simkubelet.New(in.Subjects, in.Delays)
			each(e.from.state.Objects(), func(x events.Event) { e.from.world.Observe(x, time.Now()) })
		}
	}()
	in.early = e
	in.stops = append(in.stops, func() error {
		cancel()
		e.take()
		return nil
	})
}

// earliest returns the newest keyframe in the files of a directory that this program
// reads, or nil.
func earliest(ctx context.Context, dir string, subjects events.Subjects) *resumed {
	began := time.Now()
	objects, err := blocks.OpenObjects(ctx, dir, subjects, keyframes.Bucket)
	if err != nil {
		return nil
	}
	store := keyframes.Open(objects)
	all, _ := store.List(ctx) // what cannot be listed is not the newest that List has through the server
	for _, f := range slices.Backward(all) {
		if f.Format != projector.KeyframeFormat {
			continue
		}
		k, err := store.Get(ctx, f)
		if err != nil {
			return nil
		}
		from, err := readResumed(subjects, f, k, began)
		if err != nil {
			return nil
		}
		return from
	}
	return nil
}

// take returns what was read, once, and when nothing is being read any more.
func (e *early) take() *resumed {
	if e == nil {
		return nil
	}
	<-e.done
	from := e.from
	e.from = nil
	return from
}

// isNewest reports whether a keyframe is the newest at or before a position, and of
// this log.
func (s shelf) isNewest(ctx context.Context, f keyframes.Frame, at events.Seq) bool {
	all, err := s.store.List(ctx)
	if err != nil {
		return false
	}
	for _, x := range slices.Backward(all) {
		if x.Seq <= at && x.Format == projector.KeyframeFormat {
			return x == f && s.of().Check(ctx, f) == nil
		}
	}
	return false
}
