package apiserver

import (
	"net/http"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
)

// serveOpenAPI serves the descriptions of the API, each built when it is first
// asked for: together they are half of what an idle server would hold, and a
// cluster without a kubectl needs neither.
func (s *Server) serveOpenAPI(c genericapiserver.CompletedConfig) {
	paths, container := s.generic.Handler.NonGoRestfulMux, s.generic.Handler.GoRestfulContainer
	v2 := onDemand("openapi v2", func(m *mux.PathRecorderMux) http.Handler {
		service, static := routes.OpenAPI{Config: c.OpenAPIConfig}.InstallV2(container, m)
		return s.custom.DescribeV2(m, service, static)
	})
	v3 := onDemand("openapi v3", func(m *mux.PathRecorderMux) http.Handler {
		return s.custom.DescribeV3(m, routes.OpenAPI{V3Config: c.OpenAPIV3Config}.InstallV3(container, m))
	})
	paths.Handle("/openapi/v2", v2)
	paths.Handle("/openapi/v3", v3)
	paths.HandlePrefix("/openapi/v3/", v3)
}

// onDemand returns a handler that is installed by its first request.
func onDemand(name string, install func(*mux.PathRecorderMux) http.Handler) http.Handler {
	made := sync.OnceValue(func() http.Handler { return install(mux.NewPathRecorderMux(name)) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { made().ServeHTTP(w, r) })
}
