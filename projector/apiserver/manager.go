package apiserver

import (
	"context"
	"net/http"
	"strings"
)

type managerKey struct{}

// managerFrom returns the field manager of a request, or "".
func managerFrom(ctx context.Context) string {
	m, _ := ctx.Value(managerKey{}).(string)
	return m
}

// maxManager is the longest field manager that the API takes.
const maxManager = 128

// withManager notes who a request says to be: the field manager that it names,
// else the first part of its user agent, as the API server itself takes it.
func withManager(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := r.URL.Query().Get("fieldManager")
		if m == "" {
			m, _, _ = strings.Cut(r.UserAgent(), "/")
		}
		m = m[:min(len(m), maxManager)]
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), managerKey{}, m)))
	})
}
