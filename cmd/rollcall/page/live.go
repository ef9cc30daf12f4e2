package page

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"

	"rollcall/events"
)

// framesEvery is the least time between two frames of a stream, and maxStreams how
// many pages follow the log at once. The log is followed for the time of lingers
// when none does any more: a page that is loaded again goes on with what is there.
const (
	framesEvery = 50 * time.Millisecond
	maxStreams  = 64
	lingers     = 10 * time.Second
)

// live follows the log for all pages that do, and folds it for all that is asked of
// its end: so none of them asks for the lock of the instance's fold. It folds only
// while a page follows.
type live struct {
	reader *reader
	ctx    context.Context // of all that goes on behind the requests
	quit   context.CancelFunc
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

	before events.Seq // of the frame that was given before this one; 0: none was
	text   string     // that makes what a page has of that one this one
}

func newLive(r *reader) *live {
	l := &live{reader: r, streams: map[*follower]bool{}}
	l.ctx, l.quit = context.WithCancel(context.Background())
	return l
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
	l.quit()
	l.ended.Wait()
}

// follow folds the log as it goes on, and gives frames to who wants them.
func (l *live) follow() {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	t, err := l.begin(ctx)
	if err == nil {
		err = l.run(ctx, t)
		l.finish(t)
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
	end := l.reader.end
	es, failed := make(chan events.Event, maxTaken), make(chan error, 1)
	go t.read(ctx, es, failed)
	tick := time.NewTicker(framesEvery)
	defer tick.Stop()
	for wanted := time.Now(); ; {
		var err error
		select {
		case e := <-es:
			err = end.follow(ctx, t, e, es)
		case err = <-failed:
		case <-ctx.Done():
			err = ctx.Err()
		case now := <-tick.C:
			some := false
			if some, err = l.show(ctx, t); some {
				wanted = now
			}
			if now.Sub(wanted) > lingers && l.idle() {
				return nil
			}
		}
		if err != nil {
			return err
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
func (l *live) show(ctx context.Context, t *tail) (some bool, err error) {
	if err := l.reader.end.enter(ctx); err != nil {
		return false, err
	}
	defer l.reader.end.leave()
	if l.reader.end.tail != t {
		return false, events.ErrUnavailable // the log was opened anew
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := map[events.Key]bool{}
	for f := range l.streams {
		wanted[f.of] = true
		f.give(t.frame(l.reader.end.state, f.of))
	}
	if len(t.grids) > maxStreams {
		maps.DeleteFunc(t.grids, func(of events.Key, _ *shown) bool { return !wanted[of] })
	}
	return len(l.streams) > 0, nil
}

// give puts the newest frame in the place of one that was not taken.
func (f *follower) give(x frame) {
	select {
	case <-f.frames:
	default:
	}
	f.frames <- x
}

// begin has the end of the log be followed.
func (l *live) begin(ctx context.Context) (t *tail, err error) {
	r := l.reader
	err = r.take(ctx, func() error {
		q := &query{Request: (&http.Request{}).WithContext(ctx), reader: r}
		defer q.letGo()
		if err := q.hold(); err != nil {
			return err
		}
		t = &tail{log: r.end.past.Log, from: r.end.state.Seq(), nodes: r.index.nodes.Clone(), epoch: r.end.h.Span().From, grids: map[events.Key]*shown{}}
		r.end.tail = t
		return nil
	})
	return t, err
}

// finish has the end of the log be asked how far it goes again, unless others follow it.
func (l *live) finish(t *tail) {
	end := l.reader.end
	end.turn <- struct{}{}
	if end.tail == t {
		end.tail, end.looked = nil, time.Time{}
	}
	end.leave()
}
