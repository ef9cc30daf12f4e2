package extensions

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	listers "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/tools/cache"

	"rollcall/events"
	"rollcall/projector/table"
)

// Config says what a server of custom resources stands behind.
type Config struct {
	// Front is how the server was made that requests come to, and Server that
	// server: what it does not serve itself comes here.
	Front  *genericapiserver.RecommendedConfig
	Server *genericapiserver.GenericAPIServer

	Options generic.RESTOptionsGetter // where CustomResourceDefinitions are kept
	Custom  generic.RESTOptionsGetter // where the objects are that they define, by Codec

	Services webhook.ServiceResolver // where webhooks that convert objects are reached
}

// Server serves the custom resources of a cluster.
type Server struct {
	definitions *table.Table
	begun       chan struct{} // closed when the fields below are there
	handler     http.Handler
	lister      listers.CustomResourceDefinitionLister
}

// New returns a server of the custom resources of a log, which Run begins.
func New(objects *table.Tables) *Server {
	return &Server{definitions: objects.Of(events.CustomResourceDefinition), begun: make(chan struct{})}
}

// Delegate returns what a server asks for what it does not serve itself.
func (s *Server) Delegate() genericapiserver.DelegationTarget {
	return delegate{genericapiserver.NewEmptyDelegate(), s}
}

type delegate struct {
	genericapiserver.DelegationTarget
	handler http.Handler
}

// UnprotectedHandler implements genericapiserver.DelegationTarget.
func (d delegate) UnprotectedHandler() http.Handler { return d.handler }

// beginTime is how long a request waits for the definitions to be served, and
// syncTime how long for the last change of its own, looking every syncLook.
const (
	beginTime = 30 * time.Second
	syncTime  = 10 * time.Second
	syncLook  = 2 * time.Millisecond
)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n, _ := s.definitions.Size(); n == 0 {
		http.NotFound(w, r)
		return
	}
	waiting, cancel := context.WithTimeout(r.Context(), beginTime)
	defer cancel()
	select {
	case <-s.begun:
		s.sync(r.Context())
		s.handler.ServeHTTP(w, r)
	case <-waiting.Done():
		w.Header().Set("Retry-After", "1")
		http.Error(w, "custom resources are not served yet", http.StatusServiceUnavailable)
	}
}

// sync waits until the handler knows the definition of what is asked for as the
// log has it: who has seen that it is established finds it so.
func (s *Server) sync(ctx context.Context) {
	info, ok := request.RequestInfoFrom(ctx)
	if !ok || !info.IsResourceRequest {
		return
	}
	name := info.Resource + "." + info.APIGroup
	i := s.definitions.Get(events.Key{Name: name})
	if i == nil {
		return
	}
	_ = wait.PollUntilContextTimeout(ctx, syncLook, syncTime, true, func(context.Context) (bool, error) { // then it is answered from what is known
		d, err := s.lister.Get(name)
		if err != nil {
			return false, nil
		}
		rev, err := strconv.ParseUint(d.ResourceVersion, 10, 64)
		return rev >= i.Rev, err
	})
}

// hooks are those of Kubernetes' server that are of use to one that stands behind
// another. Each of the others is the front's too, or ends the process if it is
// stopped before it is done.
var hooks = sets.NewString("start-apiextensions-informers", "start-apiextensions-controllers")

// Run serves until ctx is done. It is to be called when there is a
// CustomResourceDefinition.
func (s *Server) Run(ctx context.Context, c Config) error {
	front := *c.Front
	front.RESTOptionsGetter = c.Options
	front.MergedResourceConfig = apiserver.DefaultAPIResourceConfigSource()
	front.AggregatedDiscoveryGroupManager = c.Server.AggregatedDiscoveryGroupManager
	front.OpenAPIConfig, front.SkipOpenAPIInstallation = nil, true // the front's tell of custom resources too
	front.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, openapinamer.NewDefinitionNamer(apiserver.Scheme))
	front.BuildHandlerChainFunc = func(h http.Handler, _ *genericapiserver.Config) http.Handler { return h }
	front.HealthzChecks, front.LivezChecks, front.ReadyzChecks = nil, nil, nil
	front.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{}
	front.DisabledPostStartHooks = sets.NewString("crd-informer-synced", "generic-apiserver-start-informers", "priority-and-fairness-config-consumer",
		"priority-and-fairness-filter", "max-in-flight-filter", "storage-object-count-tracker-hook", "storage-readiness")
	config := apiserver.Config{GenericConfig: &front, ExtraConfig: apiserver.ExtraConfig{CRDRESTOptionsGetter: c.Custom, MasterCount: 1,
		ServiceResolver: c.Services}}
	inner, err := config.Complete().New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return fmt.Errorf("make the server of custom resources: %w", err)
	}
	for name := range inner.GenericAPIServer.PostStartHooks() {
		if !hooks.Has(name) {
			return fmt.Errorf("make the server of custom resources: the hook %s is not known", name)
		}
	}
	known := inner.Informers.Apiextensions().V1().CustomResourceDefinitions()
	g := groups{lister: known.Lister(), manager: c.Server.DiscoveryGroupManager}
	if _, err := known.Informer().AddEventHandler(g.handler()); err != nil {
		return fmt.Errorf("watch CustomResourceDefinitions: %w", err)
	}
	inner.GenericAPIServer.RunPostStartHooks(ctx)
	defer inner.GenericAPIServer.Destroy()
	defer inner.Informers.Shutdown()
	if cache.WaitForCacheSync(ctx.Done(), known.Informer().HasSynced) {
		s.handler, s.lister = inner.GenericAPIServer.UnprotectedHandler(), known.Lister()
		close(s.begun)
	}
	<-ctx.Done()
	return nil
}

// established reports whether the resource of a definition is served.
func established(d *v1.CustomResourceDefinition) bool {
	for _, c := range d.Status.Conditions {
		if c.Type == v1.Established {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}
