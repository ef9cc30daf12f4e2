// Package netlimit keeps strangers from using up the connections of a server.
//
// A connection belongs to a stranger until the server has said whose it is.
// Strangers have few places and little time: one that comes when all places are
// taken gets that of the oldest, because a client that means to say who it is
// has said so in milliseconds. Connections of known clients have places of their
// own, which no stranger can take, and no time limit from here.
package netlimit

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits bound the connections of a listener.
type Limits struct {
	Known     int           // of clients that the server knows
	Strangers int           // of all others
	Patience  time.Duration // a stranger's connection is closed after it
}

// Shares of the files that a process may have open.
const (
	filesKept     = 4   // one in four is for the log and what else the process opens,
	leastKept     = 32  // but not fewer than these
	strangersPart = 4   // one in four of the rest is for strangers,
	mostStrangers = 256 // but not more than these
)

// patience is enough for the handshake and the first request over a bad line.
const patience = 10 * time.Second

// ForFiles returns the limits for a process that may have so many files open.
func ForFiles(files uint64) Limits {
	const most = 1 << 20 // more memory than any machine has
	n := int(min(files, most))
	rest := max(n-max(n/filesKept, leastKept), 2)
	strangers := max(min(rest/strangersPart, mostStrangers), 1)
	return Limits{Known: rest - strangers, Strangers: strangers, Patience: patience}
}

// Counts are the connections that a listener has, and what became of others.
type Counts struct {
	Known, Strangers int
	Displaced        uint64 // strangers closed for another one
	Late             uint64 // strangers closed because their time was over
	Refused          uint64 // known clients for whom there was no place
}

// Listener is a net.Listener with limits. Its methods may be called from any
// goroutine.
type Listener struct {
	net.Listener
	limits Limits

	mu        sync.Mutex
	strangers *list.List // of *conn, oldest first
	open      map[string]*conn
	counts    Counts
}

// New returns l with limits.
func New(l net.Listener, limits Limits) *Listener {
	return &Listener{Listener: l, limits: limits, strangers: list.New(), open: map[string]*conn{}}
}

// conn is a connection with its place.
type conn struct {
	net.Conn
	of    *Listener
	name  string
	place *list.Element // among the strangers; nil: it is known
	late  *time.Timer
	gone  bool
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, of: l, name: nameOf(inner.LocalAddr().String(), inner.RemoteAddr().String())}
	if oldest := l.admit(c); oldest != nil {
		_ = oldest.Close() // its client is told by that
	}
	return c, nil
}

// nameOf is what makes a connection that one among those of a listener.
func nameOf(local, remote string) string { return remote + " " + local }

// admit gives a stranger a place and returns who has to go for it, or nil.
func (l *Listener) admit(c *conn) (oldest *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.strangers.Len() >= l.limits.Strangers {
		oldest = l.strangers.Front().Value.(*conn)
		l.counts.Displaced++
		l.drop(oldest)
	}
	c.place = l.strangers.PushBack(c)
	l.open[c.name] = c
	c.late = time.AfterFunc(l.limits.Patience, func() { l.expire(c) })
	return oldest
}

// expire closes a connection that is still a stranger's.
func (l *Listener) expire(c *conn) {
	l.mu.Lock()
	stranger := c.place != nil
	if stranger {
		l.counts.Late++
		l.drop(c)
	}
	l.mu.Unlock()
	if stranger {
		_ = c.Close() // its client is told by that
	}
}

// drop takes a connection out of the books. The caller holds mu.
func (l *Listener) drop(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	if c.place != nil {
		l.strangers.Remove(c.place)
		c.place = nil
		c.late.Stop()
	} else {
		l.counts.Known--
	}
	if l.open[c.name] == c { // a new one may have come from the same port
		delete(l.open, c.name)
	}
}

// Know says that the client of a request is known, and reports whether there is
// a place for it. A connection that this listener has not accepted, or that is
// closed, needs none.
func (l *Listener) Know(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return !ok || l.know(nameOf(local.String(), r.RemoteAddr))
}

func (l *Listener) know(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.open[name]
	if c == nil || c.place == nil {
		return true
	}
	if l.counts.Known >= l.limits.Known {
		l.counts.Refused++
		return false
	}
	l.strangers.Remove(c.place)
	c.place = nil
	c.late.Stop()
	l.counts.Known++
	return true
}

// Counts returns the connections as they are.
func (l *Listener) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counts
	n.Strangers = l.strangers.Len()
	return n
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.mu.Lock()
	c.of.drop(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
