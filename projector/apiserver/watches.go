package apiserver

import (
	"fmt"
	"net/http"
	"sync"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// watches bounds the answers that go on until their client has enough: watches
// and logs that are followed. Each such answer holds a connection, buffers and
// goroutines for as long as it goes on.
type watches struct {
	most int // 0: no bound

	mu      sync.Mutex
	open    int
	refused uint64
}

// begin takes a place; ok is false if there is none.
func (l *watches) begin(bounded bool) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bounded && l.most > 0 && l.open >= l.most {
		l.refused++
		return false
	}
	l.open++
	return true
}

func (l *watches) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

func (l *watches) counts() (open int, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.refused
}

// limit refuses watches for which there is no place. Watches that are open are
// left alone, and the server's own clients always get a place.
func (l *watches) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || !goesOn(r, info) {
			next.ServeHTTP(w, r)
			return
		}
		u, known := request.UserFrom(r.Context())
		if !l.begin(!known || u.GetName() != user.APIServerUser) {
			tooMany(w, r, fmt.Sprintf("%d watches are open, and the memory of this server has room for no more: end some, or raise --max-watches", l.most))
			return
		}
		defer l.end()
		next.ServeHTTP(w, r)
	})
}

// goesOn reports whether an answer has no end of its own.
func goesOn(r *http.Request, info *request.RequestInfo) bool {
	follows := info.Subresource == "log" && r.URL.Query().Get("follow") == "true"
	return info.Verb == "watch" || follows
}
