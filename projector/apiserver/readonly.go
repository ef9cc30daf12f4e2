package apiserver

import (
	"net/http"
	"strings"
)

// readOnly refuses what would write, with the reason. Questions that are put as
// a POST are let through.
func readOnly(next http.Handler, why string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asks := strings.HasPrefix(r.URL.Path, "/apis/authorization.k8s.io/") || strings.HasPrefix(r.URL.Path, "/apis/authentication.k8s.io/")
		if r.Method == http.MethodGet || r.Method == http.MethodHead || asks {
			next.ServeHTTP(w, r)
			return
		}
		refuse(w, r, notAllowed(http.StatusMethodNotAllowed, why))
	})
}
