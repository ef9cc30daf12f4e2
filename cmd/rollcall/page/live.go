package page

import (
	"bytes"
	"context"
	"sync"
	"time"

	"rollcall/controller/grid"
	"rollcall/events"
	"rollcall/projector"
)

// framesEvery is the least time between two frames of a stream, and maxStreams how
// many pages follow the log at once. The log is followed for the time of lingers
// when none does any more: a page that is loaded again goes on with what is there.
const (
	framesEvery = 50 * time.Millisecond
	maxStreams  = 64
	lingers     = 10 * time.Second
)

// live follows the log for all pages that do: one fold of its own, so that none of
// them asks for the lock of the instance's. It folds only while a page follows.
type live struct {
	reader *reader
	quit   chan struct{}
	ended  sync.WaitGroup

	mu      sync.Mutex
	streams map[*follower]bool
	running bool
}

// follower is a page that follows.
type follower struct {
	of     events.Key
	frames chan frame // one place: a slow page is shown the newest
}

// frame is how a DaemonSet stands on all nodes after an event.
type frame struct {
	seq   events.Seq
	time  time.Time
	cells []byte // nobody changes them
	err   error  // why no more come
}

func newLive(r *reader) *live {
	return &live{reader: r, quit: make(chan struct{}), streams: map[*follower]bool{}}
}

// readers returns how many pages follow.
func (l *live) readers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.streams)
}

// join adds a page. It returns false if there are too many.
func (l *live) join(f *follower) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) >= maxStreams {
		return false
	}
	l.streams[f] = true
	if !l.running {
		l.running = true
		l.ended.Go(l.follow)
	}
	return true
}

func (l *live) leave(f *follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streams, f)
}

// close ends the following.
func (l *live) close() {
	close(l.quit)
	l.ended.Wait()
}

// follow folds the log as it goes on, and gives frames to who wants them.
func (l *live) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-l.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	t, err := l.begin(ctx)
	if err == nil {
		err = l.run(ctx, t)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
	for f := range l.streams {
		f.give(frame{err: err})
	}
	clear(l.streams)
}

// run folds until nobody follows any more, or the log cannot be read.
func (l *live) run(ctx context.Context, t *tail) error {
	es, failed := make(chan events.Event, 1024), make(chan error, 1)
	go t.read(ctx, es, failed)
	tick := time.NewTicker(framesEvery)
	defer tick.Stop()
	for wanted := time.Now(); ; {
		select {
		case e := <-es:
			t.take(e)
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if l.show(t) {
				wanted = now
			}
			if now.Sub(wanted) > lingers && l.idle() {
				return nil
			}
		}
	}
}

// idle reports whether nobody follows; then nobody joins what goes on now.
func (l *live) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) == 0 {
		l.running = false
		return true
	}
	return false
}

// show gives frames to the pages, and reports whether there are any.
func (l *live) show(t *tail) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.streams {
		f.give(t.frame(f.of))
	}
	return len(l.streams) > 0
}

// give puts the newest frame in the place of one that was not taken.
func (f *follower) give(x frame) {
	select {
	case <-f.frames:
	default:
	}
	f.frames <- x
}

// begin takes the state of the end of the log.
func (l *live) begin(ctx context.Context) (t *tail, err error) {
	err = l.reader.take(ctx, func() error {
		h := l.reader.h
		s, err := h.At(ctx, h.Span().Last)
		t = &tail{log: l.reader.past.Log, state: s, nodes: l.reader.index.nodes.Clone(), epoch: h.Span().From, grids: map[events.Key]*shown{}}
		return err
	})
	return t, err
}

// tail is a fold that goes on with the log, and the grids that pages look at.
type tail struct {
	log   events.Reader
	state *projector.State
	nodes *grid.Nodes
	epoch time.Time
	grids map[events.Key]*shown
}

// shown is a grid, and its cells as they were given last.
type shown struct {
	*grid.Grid
	cells []byte
	dirty bool
}

// read reads the log as it goes on.
func (t *tail) read(ctx context.Context, es chan<- events.Event, failed chan<- error) {
	log, ok := t.log.(events.Tailer)
	if !ok {
		return // nothing comes
	}
	for e, err := range log.Tail(ctx, t.state.Seq()) {
		if err != nil {
			failed <- err
			return
		}
		select {
		case es <- e:
		case <-ctx.Done():
			return
		}
	}
}

// take folds the next event.
func (t *tail) take(e events.Event) {
	for _, g := range t.grids {
		g.Before(t.state, e)
	}
	if r := events.RefOf(e); r.Kind == events.Node {
		t.nodes.See(r.Key.Name, e.Seq)
	}
	e = projector.Fold(t.state, e)
	for _, g := range t.grids {
		if len(g.After(t.state, e)) > 0 {
			g.dirty = true
		}
	}
}

// frame returns how a DaemonSet stands.
func (t *tail) frame(of events.Key) frame {
	g := t.grids[of]
	if g == nil {
		g = &shown{Grid: grid.New(t.nodes, of, t.epoch), dirty: true}
		g.Set(t.state)
		t.grids[of] = g
	}
	if g.dirty || len(g.cells) != len(g.Cells()) {
		g.cells, g.dirty = bytes.Clone(g.Cells()), false
	}
	return frame{seq: t.state.Seq(), time: t.state.Time(), cells: g.cells}
}
