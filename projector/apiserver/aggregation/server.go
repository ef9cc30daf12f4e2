package aggregation

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensionslisters "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	v1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
	"k8s.io/kube-aggregator/pkg/apiserver"
	registration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/controllers/autoregister"
	"k8s.io/kubernetes/pkg/controlplane/controller/crdregistration"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// Config says what an aggregator stands before.
type Config struct {
	// Front is how the server was made that requests come to, and Server that
	// server: what no other serves goes there.
	Front  *genericapiserver.RecommendedConfig
	Server *genericapiserver.GenericAPIServer

	Options  generic.RESTOptionsGetter // where APIServices are kept
	Shared   informers.SharedInformerFactory
	Services apiserver.ServiceResolver // where others are reached
}

// Server sends requests to who serves what they ask for.
type Server struct {
	services *table.Table
	asked    chan struct{} // closed by the first request about APIServices
	ask      sync.Once
	begun    chan struct{} // closed when handler is there
	handler  http.Handler
}

// New returns a server of the APIServices of a log, which Run begins.
func New(objects *table.Tables) *Server {
	return &Server{services: objects.Of(events.APIService), asked: make(chan struct{}), begun: make(chan struct{})}
}

// beginTime is how long a request about APIServices waits until those of what is
// served here are there, which is looked for every beginLook.
const (
	beginTime = 10 * time.Second
	beginLook = 10 * time.Millisecond
)

// Before returns next behind what others serve.
func (s *Server) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if needs(r) {
			s.ask.Do(func() { close(s.asked) })
			waiting, cancel := context.WithTimeout(r.Context(), beginTime)
			defer cancel()
			select {
			case <-s.begun:
			case <-waiting.Done(): // then it is answered with what is there
			}
		}
		select {
		case <-s.begun:
			s.handler.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// needs reports whether a request is about APIServices, and not of who makes them
// or of somebody who may see nothing.
func needs(r *http.Request) bool {
	info, ok := request.RequestInfoFrom(r.Context())
	who, known := request.UserFrom(r.Context())
	return ok && known && info.IsResourceRequest && info.APIGroup == v1.GroupName && who.GetName() != user.APIServerUser && who.GetName() != user.Anonymous &&
		!r.URL.Query().Has("dryRun")
}

// ByOther reports whether an APIService, as a log has it, names a Service.
func ByOther(service []byte) bool {
	return len(wire.Field(wire.Field(service, "spec"), "service")) > 0
}

// Asked is closed when somebody has asked about APIServices.
func (s *Server) Asked() <-chan struct{} { return s.asked }

// hooks are those of kube-aggregator. Each other is the front's too, or ends the
// process if it is stopped before it is done.
var hooks = sets.New("start-kube-aggregator-informers", "apiservice-status-local-available-controller", "apiservice-status-remote-available-controller",
	"apiservice-registration-controller", "apiservice-discovery-controller")

// frontHooks are of every server, and the front has them.
var frontHooks = sets.NewString("generic-apiserver-start-informers", "priority-and-fairness-config-consumer", "priority-and-fairness-filter",
	"max-in-flight-filter", "storage-object-count-tracker-hook", "storage-readiness")

// Run serves until ctx is done. It is to be called when there is an APIService
// that names a Service, or when somebody has asked.
func (s *Server) Run(ctx context.Context, c Config) error {
	inner, err := c.aggregator()
	if err != nil {
		return fmt.Errorf("make the aggregator: %w", err)
	}
	client, err := registration.NewForConfig(c.Front.LoopbackClientConfig)
	if err != nil {
		return fmt.Errorf("make the client of APIServices: %w", err)
	}
	known := inner.APIRegistrationInformers.Apiregistration().V1().APIServices()
	register := autoregister.NewAutoRegisterController(known, client)
	custom := crdregistration.NewCRDRegistrationController(definitions{c.Shared}, register)
	own := locals(c.Server.ListedPaths())
	for _, one := range own {
		register.AddAPIServiceToSyncOnStart(one)
	}
	var running sync.WaitGroup
	defer running.Wait()
	inner.GenericAPIServer.RunPostStartHooks(ctx)
	defer inner.GenericAPIServer.Destroy()
	defer inner.APIRegistrationInformers.Shutdown()
	running.Go(func() { custom.Run(1, ctx.Done()) })
	custom.WaitForInitialSync() // from tables, which always have all there is
	running.Go(func() { register.Run(registrars, ctx.Done()) })
	if cache.WaitForCacheSync(ctx.Done(), known.Informer().HasSynced) && s.available(ctx, own) {
		s.handler = inner.GenericAPIServer.UnprotectedHandler()
		close(s.begun)
	}
	<-ctx.Done()
	return nil
}

// registrars is how many APIServices are written at once, as in Kubernetes.
const registrars = 5

// aggregator makes Kubernetes' own.
func (c Config) aggregator() (*apiserver.APIAggregator, error) {
	front := *c.Front
	front.RESTOptionsGetter, front.SharedInformerFactory = c.Options, c.Shared
	front.MergedResourceConfig = apiserver.DefaultAPIResourceConfigSource()
	front.AggregatedDiscoveryGroupManager = c.Server.AggregatedDiscoveryGroupManager
	front.OpenAPIConfig, front.SkipOpenAPIInstallation = nil, true
	front.EnableMetrics = false
	front.BuildHandlerChainFunc = func(h http.Handler, _ *genericapiserver.Config) http.Handler { return h }
	front.HealthzChecks, front.LivezChecks, front.ReadyzChecks = nil, nil, nil
	front.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{}
	front.DisabledPostStartHooks = frontHooks
	config := apiserver.Config{GenericConfig: &front, ExtraConfig: apiserver.ExtraConfig{ServiceResolver: c.Services}}
	inner, err := config.Complete().NewWithDelegate(behind{genericapiserver.NewEmptyDelegate(), c.Server})
	if err != nil {
		return nil, err
	}
	for name := range inner.GenericAPIServer.PostStartHooks() {
		if !hooks.Has(name) {
			return nil, fmt.Errorf("the hook %s is not known", name)
		}
	}
	return inner, nil
}

// behind is the server that requests go to which nobody else serves. Its hooks
// and its checks are its own.
type behind struct {
	genericapiserver.DelegationTarget
	server *genericapiserver.GenericAPIServer
}

// UnprotectedHandler implements genericapiserver.DelegationTarget.
func (b behind) UnprotectedHandler() http.Handler { return b.server.UnprotectedHandler() }

// ListedPaths implements genericapiserver.DelegationTarget.
func (b behind) ListedPaths() []string { return b.server.ListedPaths() }

// available returns when all of the APIServices are there and available, and
// reports whether they are.
func (s *Server) available(ctx context.Context, all []*v1.APIService) bool {
	return wait.PollUntilContextCancel(ctx, beginLook, true, func(context.Context) (bool, error) {
		for _, one := range all {
			i := s.services.At(one.Name)
			var now v1.APIService
			if i == nil || wire.Unmarshal(i.Data, &now) != nil || !helper.IsAPIServiceConditionTrue(&now, v1.Available) && now.Spec.Service == nil {
				return false, nil
			}
		}
		return true, nil
	}) == nil
}

// definitions inform of CustomResourceDefinitions.
type definitions struct {
	informers.SharedInformerFactory
}

// Informer implements Kubernetes' interface of informers of definitions.
func (d definitions) Informer() cache.SharedIndexInformer {
	return d.InformerFor(&extensionsv1.CustomResourceDefinition{}, nil)
}

// Lister implements it too.
func (d definitions) Lister() extensionslisters.CustomResourceDefinitionLister {
	return extensionslisters.NewCustomResourceDefinitionLister(d.Informer().GetIndexer())
}
