package apiserver

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

// besidePath begins the paths that are not of the Kubernetes API.
const besidePath = "/v1/"

// withBeside has requests for what is not of the Kubernetes API answered without
// its filters, which know neither the users nor the errors there.
func (s *Server) withBeside(next http.Handler) http.Handler {
	if s.config.Beside == nil {
		return next
	}
	beside := s.config.Beside(s)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, besidePath) {
			beside.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Know gives the connection of a client that has said who it is a place that
// strangers cannot take, and reports whether there is one.
func (s *Server) Know(r *http.Request) bool { return s.door.Know(r) }

// IsAdmin reports whether a request is the admin's: it has sent the admin's token,
// or was made in this process by a client of LoopbackAs.
func (s *Server) IsAdmin(r *http.Request, token string) bool {
	if _, local, _ := whoIsLocal(r); local {
		return true
	}
	return s.config.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(s.config.Token)) == 1
}
