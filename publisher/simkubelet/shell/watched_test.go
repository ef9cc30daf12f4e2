package shell

import (
	"strings"
	"sync"
	"time"
)

// watched is output that a test waits for.
type watched struct {
	mu   sync.Mutex
	all  string
	seen int
	more chan struct{} // has room for one: there is more
}

func newWatched() *watched { return &watched{more: make(chan struct{}, 1)} }

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all += string(b)
	select {
	case w.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (w *watched) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[w.seen:]
}

// sees waits for a text after what was seen before.
func (w *watched) sees(text string) bool {
	for late := time.After(patience); ; {
		w.mu.Lock()
		i := strings.Index(w.all[w.seen:], text)
		if i >= 0 {
			w.seen += i + len(text)
		}
		w.mu.Unlock()
		if i >= 0 {
			return true
		}
		select {
		case <-w.more:
		case <-late:
			return false
		}
	}
}
