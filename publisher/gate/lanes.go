package gate

import (
	"context"
	"sync"
)

// lanes keep what is about one thing in the order in which it came: each waits
// for the one before it, and for no other.
type lanes struct {
	mu   sync.Mutex
	last map[string]chan struct{} // by what it is about: closed when the last that came has left
}

// turn is a place in some lanes.
type turn struct {
	of     *lanes
	keys   []string
	before []chan struct{}
	over   chan struct{}
}

// enter takes places behind all that is in the lanes of these keys, which are
// different ones.
func (l *lanes) enter(keys ...string) *turn {
	t := &turn{of: l, keys: keys, over: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		if before := l.last[k]; before != nil {
			t.before = append(t.before, before)
		}
		l.last[k] = t.over
	}
	return t
}

// await returns when all that was in front has left.
func (t *turn) await(ctx context.Context) error {
	for _, b := range t.before {
		select {
		case <-b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// leave lets the next in. A turn that was given up before it came is passed over
// when it comes.
func (t *turn) leave() {
	for _, b := range t.before {
		select {
		case <-b:
		default:
			go func() {
				_ = t.await(context.Background()) // who is in front leaves
				t.end()
			}()
			return
		}
	}
	t.end()
}

func (t *turn) end() {
	close(t.over)
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	for _, k := range t.keys {
		if t.of.last[k] == t.over {
			delete(t.of.last, k)
		}
	}
}

// Bounds of what one source has under way. Another that comes is refused with the
// advice to come again: nothing waits where nobody sees it.
const (
	maxOpen      = 1024     // events
	maxOpenBytes = 16 << 20 // of bodies
	atOnce       = 128      // events that are being appended: others have their turn
)

// queue is what one source has under way.
type queue struct {
	mu     sync.Mutex
	events int
	bytes  int
	slots  chan struct{}
}

func newQueue() *queue { return &queue{slots: make(chan struct{}, atOnce)} }

// takeBytes makes room for a body. One always has room if there is no other.
func (q *queue) takeBytes(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes > 0 && q.bytes+n > maxOpenBytes {
		return false
	}
	q.bytes += n
	return true
}

// takeEvents makes room for events of one message. They always have room if there
// are no others.
func (q *queue) takeEvents(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.events > 0 && q.events+n > maxOpen {
		return false
	}
	q.events += n
	return true
}

func (q *queue) give(events, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events -= events
	q.bytes -= bytes
}

func (q *queue) open() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events
}

// slot returns when one event more of the source may be appended, and what gives
// the slot back.
func (q *queue) slot(ctx context.Context) (give func(), err error) {
	select {
	case q.slots <- struct{}{}:
		return func() { <-q.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
