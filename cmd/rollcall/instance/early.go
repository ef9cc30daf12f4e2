package instance

import (
	"context"
	"slices"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/keyframes"
	"rollcall/projector"
	"rollcall/projector/table"
	"rollcall/publisher/simkubelet"
)

// early reads the newest keyframe of a data directory from its files while these
// are checked and the server reads its store: for a large cluster each takes seconds,
// on one core. What was read is held against the log before it is used, as every
// keyframe is; one that cannot be read so, since the check or the server may move
// its files, is read through the server.
type early struct {
	done chan struct{}
	from *resumed // for who has received from done; nil: nothing was read
}

// check has a data directory checked before the server reads it, and starts to read
// its newest keyframe.
func (in *Instance) check(ctx context.Context, dir string) error {
	in.readEarly(dir)
	return in.keeping.Check(ctx, dir)
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
		var world *simkubelet.World
		if in.Record == nil {
			world = simkubelet.New(in.Subjects, in.Delays)
		}
		e.from = earliest(ctx, dir, in.Subjects, world)
	}()
	in.early = e
	in.stops = append(in.stops, func() error {
		cancel()
		e.take()
		return nil
	})
}

// earliest returns the newest keyframe in the files of a directory that this program
// reads, or nil. A world, if there is one, has observed it.
func earliest(ctx context.Context, dir string, subjects events.Subjects, world *simkubelet.World) *resumed {
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
		objects := table.New(table.Recent)
		var observed sync.WaitGroup
		if world != nil {
			observed.Go(func() {
				if objects.Await(ctx, f.Seq) == nil { // they are there before the state is
					each(objects, func(x events.Event) { world.Observe(x, time.Now()) })
				}
			})
		}
		from, err := readResumed(subjects, f, k, objects, began)
		objects.End(err)
		observed.Wait()
		if err != nil {
			return nil
		}
		from.world = world
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
