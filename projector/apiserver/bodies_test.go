package apiserver

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deadlines is a ResponseWriter that keeps the read deadlines that it is given.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

// SetReadDeadline is found by http.ResponseController.
func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

func (d *deadlines) last() time.Time { return d.set[len(d.set)-1] }

// finding H6
//
// TestBodyDeadline: a body has a deadline for each of its pieces, and what comes
// after it, or has none, is left alone: a watch would end by it.
func TestBodyDeadline(t *testing.T) {
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	withBodyDeadline(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began := time.Now()
		p := make([]byte, 2)
		for n := 1; ; n++ {
			_, err := r.Body.Read(p)
			if errors.Is(err, io.EOF) {
				break
			}
			if left := d.last().Sub(began); len(d.set) != n || left < bodyPause {
				t.Errorf("piece %d has the deadlines %v", n, d.set)
			}
		}
		if !d.last().IsZero() {
			t.Error("after the body the connection still has its deadline")
		}
	}), bodyPause).ServeHTTP(d, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("12345")))

	unread := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	withBodyDeadline(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = r.Body.Read(make([]byte, 1)) }), bodyPause).
		ServeHTTP(unread, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("12345")))
	if !unread.last().IsZero() {
		t.Error("a connection keeps the deadline of a body that nobody read to its end")
	}

	none := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	withBodyDeadline(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }), bodyPause).
		ServeHTTP(none, httptest.NewRequest(http.MethodGet, "/", nil))
	if len(none.set) > 0 {
		t.Errorf("a request without a body has the deadlines %v", none.set)
	}
}
