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
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all += string(b)
	return len(b), nil
}

func (w *watched) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[w.seen:]
}

// sees waits for a text after what was seen before.
func (w *watched) sees(text string) bool {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		i := strings.Index(w.all[w.seen:], text)
		if i >= 0 {
			w.seen += i + len(text)
		}
		w.mu.Unlock()
		if i >= 0 {
			return true
		}
	}
	return false
}
