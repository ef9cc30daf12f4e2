package apiserver

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// pacedBody is the body of a request whose every piece has to come in time.
type pacedBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	pause time.Duration

	mu   sync.Mutex
	over bool // the request is answered: its connection has other deadlines
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	b.until(time.Now().Add(b.pause))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.rest()
	}
	return n, err
}

// rest takes the deadline away: what a connection does between requests, and
// while one is answered, has none from here.
func (b *pacedBody) rest() {
	b.until(time.Time{})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}

func (b *pacedBody) until(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		_ = b.conn.SetReadDeadline(t) // one that cannot be set is that of the whole request
	}
}
