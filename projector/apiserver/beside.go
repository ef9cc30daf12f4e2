package apiserver

import (
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
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

// LocalUser returns the user of a request that was made in this process by a
// client of LoopbackAs; ok is false for any that came through a connection.
func LocalUser(r *http.Request) (name string, ok bool) {
	u, ok := r.Context().Value(localUser{}).(user.Info)
	if !ok {
		return "", false
	}
	return u.GetName(), true
}
