package apiserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/admission"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	kubeinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/compatibility"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/capabilities"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/projector/apiserver/access"
	"rollcall/projector/apiserver/aggregation"
	"rollcall/projector/apiserver/extensions"
	"rollcall/projector/apiserver/informer"
	"rollcall/projector/apiserver/netlimit"
	"rollcall/projector/table"
)

// Version is that of the Kubernetes whose API is served.
const Version = "v1.36.3"

// Config says what a server serves and to whom.
type Config struct {
	Log      events.Log    // nil: the past is served
	Past     events.Reader // of a ReadOnly server: what its core Events are a view of; nil: it has none
	Subjects events.Subjects
	Objects  *table.Tables // of the log, which somebody fills, or has filled to the position that is shown
	Tally    *Tally        // of the same log

	Leases, Events events.KV  // where they are kept
	Secrets        *seal.Ring // the keys of Secrets; nil: none is taken, and none opened

	Listener  net.Listener  // nil: only clients in this process reach the server
	Cert, Key []byte        // PEM, of the listener's address
	CA        []byte        // PEM that clients check Cert against, and that signs certificates of clients
	Token     string        // bearer token of access.Admin
	Accounts  crypto.Signer // signs tokens of service accounts; nil: a key that ends with the process

	// KubeletClient is the file of the certificate and of the key by which kubelets of
	// real nodes know this server; empty: it has none, and they refuse it.
	KubeletClient string

	Ranges   ServiceRanges // of what Services get; what is zero: kubeadm's
	ReadOnly string        // why nothing can be written, as a sentence; empty: it can
	Version  string        // of the cluster that is shown; empty: Version, which this is
	Now      time.Time     // what tables count ages to; zero: the clock
	Logs     LogSource
	Notices  PodNotices   // nil: there are no Events about pods
	Claims   ClaimNotices // nil: there are no Events about claims
	Alive    Heartbeat    // nil: a node has no Lease but that which its kubelet writes

	// Beside makes what answers requests for paths under /v1/, which are not of
	// Kubernetes: it says itself who may ask. nil: nothing does.
	Beside func(*Server) http.Handler
	// Figures tells those figures of /metrics that are of what is beside the API;
	// nil: there are none.
	Figures func(name string, tell func(v float64, labels ...string))

	// Doubt says why nobody would believe an event that is to be appended, with a code
	// that is empty if somebody will. nil: events.Doubt.
	Doubt func(events.Event) (code, why string)

	Health      func() error               // why the log is not well, without asking it; nil: it always is
	Quarantined func() Quarantine          // nil: nothing is known of it
	Checks      []Check                    // of /readyz, besides those of the API and the log
	Connections netlimit.Limits            // of Listener
	MaxWatches  int                        // that are open at once; 0: no bound
	Unattended  map[events.Kind]Unattended // of kinds with objects that nobody acts on
}

// Server is the Kubernetes API of one cluster.
type Server struct {
	config  Config
	generic *genericapiserver.GenericAPIServer
	client  kubernetes.Interface
	users   *access.Access
	stores  restOptions
	custom  *extensions.Server
	others  *aggregation.Server
	ready   chan struct{}
	local   *local // the way of clients in this process
	door    *netlimit.Listener
	link    *link
	watches watches
	own     *ownService // nil: the past is served
	failed  chan error  // why the cluster does not get what every cluster has

	informers informer.Group
	shared    kubeinformers.SharedInformerFactory // over the tables
	admission *Admission

	life    context.Context // of what the server has started
	end     context.CancelFunc
	running sync.WaitGroup
}

var featureGate = utilfeature.DefaultFeatureGate

// complete fills in what is not said.
func (c *Config) complete() (err error) {
	c.Ranges, err = c.Ranges.orDefault()
	return err
}

// listener returns where connections come in: nowhere, if there is no port.
func (c Config) listener() net.Listener {
	if c.Listener == nil {
		return &noListener{closed: make(chan struct{})}
	}
	return c.Listener
}

// New returns a server that Run lets serve.
func New(c Config) (*Server, error) {
	capabilities.Setup(true, 0) // privileged containers, as every installer of clusters has it
	announceProgress()
	if err := c.complete(); err != nil {
		return nil, err
	}
	s := &Server{config: c, ready: make(chan struct{}), failed: make(chan error, 1),
		link: &link{log: c.Log, objects: c.Objects, report: c.Health}, watches: watches{most: c.MaxWatches}}
	s.door = netlimit.New(c.listener(), c.Connections)
	s.life, s.end = context.WithCancel(context.Background())
	s.local = &local{life: s.life}
	client, err := kubernetes.NewForConfig(s.Loopback())
	if err != nil {
		return nil, fmt.Errorf("make the loopback client: %w", err)
	}
	s.client = client
	if s.shared, err = tableInformers(&s.informers, c.Objects, s.sealed()); err != nil {
		return nil, fmt.Errorf("make informers over the tables: %w", err)
	}
	if c.ReadOnly == "" {
		if s.own, err = s.newOwnService(s.door.Addr(), s.config.Ranges); err != nil {
			return nil, fmt.Errorf("make the service of the API: %w", err)
		}
	}
	if s.users, err = s.knownUsers(); err != nil {
		return nil, err
	}
	if s.admission, err = newAdmission(s); err != nil {
		return nil, err
	}
	generic, err := s.genericConfig()
	if err != nil {
		return nil, err
	}
	completed := generic.Complete()
	s.custom, s.others = extensions.New(c.Objects), aggregation.New(c.Objects)
	s.generic, err = completed.New("rollcall", s.custom.Delegate())
	if err != nil {
		return nil, fmt.Errorf("make the API server: %w", err)
	}
	s.generic.ShutdownTimeout = stopTime
	s.serveOpenAPI(completed)
	if err := s.serveIssuer(s.generic); err != nil {
		return nil, err
	}
	s.local.handler = s.generic.Handler
	s.stores = s.options()
	i := &installer{options: s.stores, auth: generic.Authorization.Authorizer, client: client, logs: s.config.Logs, users: s.users, objects: s.config.Objects, ranges: s.config.Ranges,
		kubelets: s.config.KubeletClient, start: s.start, past: s.config.ReadOnly, now: s.config.Now}
	if err := i.install(s.generic); err != nil {
		return nil, err
	}
	completed.OpenAPIV3Config.Definitions = nil // the types are known now; who describes the API has them made again
	s.serveCustom(generic)
	s.aggregate(generic)
	s.generic.AddPostStartHookOrDie("rollcall-bootstrap", s.beginBootstrap)
	return s, nil
}

// Ready is closed when the API answers and the cluster has its namespaces.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx is done, or the cluster cannot get what every cluster has.
func (s *Server) Run(ctx context.Context) error {
	defer s.running.Wait()
	defer s.local.wait()
	defer s.informers.End()
	defer s.end()
	s.observe()
	if s.config.Log != nil { // the past is not forgotten
		s.start((&compactor{tables: s.stores.tables}).run)
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.generic.PrepareRun().RunWithContext(serving) }()
	select {
	case err := <-s.failed:
		stop()
		<-ended
		return err
	case err := <-ended:
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("serve the API: %w", err)
		}
		return ctx.Err()
	}
}

// beginBootstrap makes what every cluster has beside the hook: an error of a
// hook ends the whole process, whoever stopped it.
func (s *Server) beginBootstrap(hook genericapiserver.PostStartHookContext) error {
	s.start(func(context.Context) {
		if err := s.bootstrap(hook); err != nil && hook.Err() == nil {
			s.failed <- &events.Error{Code: "E-API-START", What: "the Kubernetes API cannot begin", Why: err.Error(),
				Do: "see whether the log can be written, and start again", Exit: events.ExitFailure, Err: err}
		}
	})
	return nil
}

func (s *Server) genericConfig() (_ *genericapiserver.RecommendedConfig, err error) {
	c := genericapiserver.NewRecommendedConfig(legacyscheme.Codecs)
	c.EffectiveVersion = effectiveVersion{compatibility.NewEffectiveVersionFromString(Version, "", ""), s.config.Version}
	serving := &genericapiserver.SecureServingInfo{Listener: s.door}
	if s.config.Listener != nil {
		if serving.Cert, err = dynamiccertificates.NewStaticCertKeyContent("serving-cert", s.config.Cert, s.config.Key); err != nil {
			return nil, fmt.Errorf("read the serving certificate: %w", err)
		}
	}
	c.SecureServing = serving
	c.LoopbackClientConfig = s.Loopback()
	c.ExternalAddress = s.door.Addr().String()
	c.Authentication.Authenticator, c.Authentication.APIAudiences = s.users.Authenticator, s.users.Audiences
	c.Authorization.Authorizer, c.RuleResolver, serving.ClientCA = s.users.Authorizer, s.users.Rules, s.users.ClientCA
	c.LongRunningFunc = longRunning
	c.LivezChecks, c.ReadyzChecks = s.checks()
	c.HealthzChecks = c.LivezChecks
	namer := openapinamer.NewDefinitionNamer(legacyscheme.Scheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	c.OpenAPIConfig.Info.Title, c.OpenAPIV3Config.Info.Title = "Kubernetes", "Kubernetes"
	c.SkipOpenAPIInstallation = true // serveOpenAPI does
	c.EnableProfiling = false
	c.BuildHandlerChainFunc = s.handlers
	c.AdmissionControl = admission.NewChainHandler(s.admission, ownRules{}, attendance(s.config.Unattended))
	return c, nil
}

// handlers wraps the API in Kubernetes' filters, and puts in front of it what
// is our own: who asks through what, and that the past is not written to.
func (s *Server) handlers(api http.Handler, c *genericapiserver.Config) http.Handler {
	if s.config.ReadOnly != "" {
		api = readOnly(api, s.config.ReadOnly)
	} else {
		api = s.own.before(s.others.Before(api))
	}
	return s.edge(withManager(api), c)
}

// effectiveVersion is the version of Kubernetes that is served, also for a
// binary that was linked without its stamps.
type effectiveVersion struct {
	compatibility.MutableEffectiveVersion
	shown string // empty: that of this server
}

// Info implements compatibility.EffectiveVersion.
func (v effectiveVersion) Info() *apiversion.Info {
	info := *v.MutableEffectiveVersion.Info()
	info.GitVersion = Version + "+rollcall"
	parsed := version.MustParseSemantic(Version)
	if other, err := version.ParseGeneric(v.shown); err == nil {
		parsed, info.GitVersion = other, v.shown
	}
	info.Major, info.Minor = strconv.Itoa(int(parsed.Major())), strconv.Itoa(int(parsed.Minor()))
	return &info
}

// start runs f until the server ends.
func (s *Server) start(f func(context.Context)) { s.running.Go(func() { f(s.life) }) }

// options returns where the registries keep their objects.
func (s *Server) options() restOptions {
	o := restOptions{tables: map[string]*table.Table{}, backends: map[string]backend{}, met: map[string]*unreadables{}, alive: s.config.Alive, renew: s.renewLease, now: time.Now,
		secrets: s.sealed()}
	if !s.config.Now.IsZero() {
		o.now = func() time.Time { return s.config.Now }
	}
	for _, r := range served {
		o.met[r.name] = &unreadables{}
		switch {
		case r.bucket == bucketLeases:
			o.tables[r.name] = table.NewTable(table.Recent)
			o.backends[r.name] = newKVBackend(o.tables[r.name], s.config.Leases, s.start)
		case r.bucket == bucketEvents:
			o.tables[r.name] = table.NewTable(table.Recent)
			o.backends[r.name] = s.eventsBackend(o.tables[r.name])
		default:
			o.tables[r.name], o.backends[r.name] = s.config.Objects.Of(r.kind), s.writes()
		}
	}
	return o
}

// doubt returns what says of an event that nobody would believe it.
func (c Config) doubt() func(events.Event) (code, why string) {
	if c.Doubt != nil {
		return c.Doubt
	}
	return func(e events.Event) (code, why string) { return events.Doubt(&e) }
}

// sealed returns where the values of Secrets are sealed and opened.
func (s *Server) sealed() *secrets { return &secrets{s.config.Secrets, s.config.ReadOnly != ""} }

// writes returns where writes go that are events of the log.
func (s *Server) writes() backend {
	b := &logBackend{s.link, s.config.Subjects, s.config.doubt()}
	if s.config.ReadOnly != "" {
		return frozenBackend{b}
	}
	return b
}

// eventsBackend shows core Events: those that were made through the API, and
// those that are a view of the log's last hour, until the position that is shown.
func (s *Server) eventsBackend(t *table.Table) *kvBackend {
	b := newKVBackend(t, s.config.Events, s.start)
	switch {
	case s.config.ReadOnly == "":
		b.read, b.end = s.config.Log.Tail, s.link.current
		b.view = newEventView(s.config.Notices, s.config.Claims, time.Now().Add(-noticeTTL))
	case s.config.Past != nil:
		b.read, b.past = s.config.Past.Read, true
		b.end = func(context.Context) (events.Seq, error) { return s.config.Objects.Position(), nil }
		b.view = newEventView(s.config.Notices, s.config.Claims, s.config.Objects.Time().Add(-noticeTTL))
	}
	return b
}

// stopTime is how long a server that ends lets requests come to their end.
const stopTime = 500 * time.Millisecond

// bootTime bounds the first writes of a server.
const bootTime = 30 * time.Second
