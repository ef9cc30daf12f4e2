package reading

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deadlines is an answer that remembers its last deadline.
type deadlines struct {
	*httptest.ResponseRecorder
	last time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.last = t
	return nil
}

// A reader that waits for events has no deadline: HTTP/2 would end its stream.
func TestQuietReaderStays(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	s := &stream{request: request{form: lines}, w: bufio.NewWriterSize(w, 16), rc: http.NewResponseController(w)}
	for _, part := range []string{"a", strings.Repeat("b", 100)} {
		if err := s.send(part); err != nil {
			t.Fatal(err)
		}
		if err := s.flush(); err != nil || !w.last.IsZero() {
			t.Errorf("%v, and a deadline at %s", err, w.last)
		}
	}
}
