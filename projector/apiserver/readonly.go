package apiserver

import (
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// readOnly refuses what would write, with the reason. Questions that are put as
// a POST are let through, and so are dry runs, but those of deletions: their
// bodies may say otherwise.
func readOnly(next http.Handler, why string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asks := strings.HasPrefix(r.URL.Path, "/apis/authorization.k8s.io/") || strings.HasPrefix(r.URL.Path, "/apis/authentication.k8s.io/")
		dry := r.Method != http.MethodDelete && slices.Equal(r.URL.Query()["dryRun"], []string{metav1.DryRunAll})
		if r.Method == http.MethodGet || r.Method == http.MethodHead || asks || dry {
			next.ServeHTTP(w, r)
			return
		}
		refuse(w, r, notAllowed(http.StatusMethodNotAllowed, why))
	})
}
