package reading

import (
	"sync"

	"rollcall/events"
)

// maxPending is how many events wait for a reader before it is dropped, and
// maxReaders how many there are at once.
const (
	maxPending = 256
	maxReaders = 64
)

// Hub gives each event of a log to all who follow it. There is one reading of the
// log, that of the process; no reader makes it wait.
type Hub struct {
	mu      sync.Mutex
	last    events.Seq
	readers map[*reader]bool // true: it follows
	closed  chan struct{}
}

// reader is somebody who reads.
type reader struct {
	next chan *item // closed when the reader is dropped
}

// item is an event with its bytes, which are made once for all readers.
type item struct {
	events.Event
	json, msgpack encoded
}

type encoded struct {
	once sync.Once
	b    []byte
	err  error
}

func (e *encoded) bytes(do func() ([]byte, error)) ([]byte, error) {
	e.once.Do(func() { e.b, e.err = do() })
	return e.b, e.err
}

// NewHub returns a hub without readers.
func NewHub() *Hub { return &Hub{readers: map[*reader]bool{}, closed: make(chan struct{})} }

// Follow takes the next event of the log. A reader for whom too many wait is
// dropped.
func (h *Hub) Follow(e events.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = e.Seq
	it := &item{Event: e}
	for r, follows := range h.readers {
		if !follows {
			continue
		}
		select {
		case r.next <- it:
		default:
			h.readers[r] = false
			close(r.next)
		}
	}
}

// Close ends all readers, and lets none in any more.
func (h *Hub) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
	default:
		close(h.closed)
	}
	return nil
}

// enter returns a reader, if there is room for one; leave takes it away.
func (h *Hub) enter() (r *reader, leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.readers) >= maxReaders {
		return nil, nil, false
	}
	r = &reader{next: make(chan *item, maxPending)}
	h.readers[r] = false
	return r, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.readers, r)
	}, true
}

// join has a reader follow that has read up to a position. It does not if the log
// was followed further: the reader has to read on first.
func (h *Hub) join(r *reader, read events.Seq) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last > read {
		return false
	}
	h.readers[r] = true
	return true
}
