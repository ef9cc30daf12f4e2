// Package hooktest stands for servers of others in tests: webhooks, and API servers
// beside this one, on loopback and over TLS.
package hooktest

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// Server is a server of somebody else.
type Server struct {
	*httptest.Server
	Asked atomic.Int64 // how often, anything
}

// Serve starts one that answers by h until the test ends.
func Serve(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Asked.Add(1)
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// CA returns the certificate that its clients have to trust, in PEM.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// Reviews is a webhook: it has reviews of a kind answered, in place. The context ends
// when who asks waits no longer.
func Reviews[R any](answer func(context.Context, *R) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := new(R)
		err := json.NewDecoder(r.Body).Decode(review)
		if err == nil {
			err = answer(r.Context(), review)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(review)
	})
}
