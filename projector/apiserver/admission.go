package apiserver

import (
	"context"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	webhookinit "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/component-base/compatibility"
	api "k8s.io/kubernetes/pkg/apis/core"
	controlplaneadmission "k8s.io/kubernetes/pkg/controlplane/apiserver/admission"
	"k8s.io/kubernetes/pkg/kubeapiserver/admission/exclusion"
	quotainstall "k8s.io/kubernetes/pkg/quota/v1/install"
	certapproval "k8s.io/kubernetes/plugin/pkg/admission/certificates/approval"
	certsigning "k8s.io/kubernetes/plugin/pkg/admission/certificates/signing"
	certsubjectrestriction "k8s.io/kubernetes/plugin/pkg/admission/certificates/subjectrestriction"
	"k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
	"k8s.io/kubernetes/plugin/pkg/admission/network/defaultingressclass"
	"k8s.io/kubernetes/plugin/pkg/admission/nodedeclaredfeatures"
	"k8s.io/kubernetes/plugin/pkg/admission/noderestriction"
	"k8s.io/kubernetes/plugin/pkg/admission/nodetaint"
	"k8s.io/kubernetes/plugin/pkg/admission/podresize"
	"k8s.io/kubernetes/plugin/pkg/admission/podtopologylabels"
	"k8s.io/kubernetes/plugin/pkg/admission/priority"
	"k8s.io/kubernetes/plugin/pkg/admission/runtimeclass"
	"k8s.io/kubernetes/plugin/pkg/admission/security/podsecurity"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/persistentvolume/resize"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageclass/setdefault"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// admissionPlugins are those of the plugins which kube-apiserver has on by
// default that decide about what is served, and NodeRestriction, which kubeadm
// adds, in its order. docs/API.md names the
// others, each with the reason why it is left out. Those that decide by objects
// of some kinds are made with the first of them.
var admissionPlugins = []struct {
	name     string
	register func(*admission.Plugins)
	by       []events.Kind
}{
	{lifecycle.PluginName, lifecycle.Register, nil},
	{limitranger.PluginName, limitranger.Register, []events.Kind{limitRange}},
	{serviceaccount.PluginName, serviceaccount.Register, nil},
	{noderestriction.PluginName, noderestriction.Register, nil},
	{nodetaint.PluginName, nodetaint.Register, nil},
	{podsecurity.PluginName, podsecurity.Register, nil},
	{priority.PluginName, priority.Register, nil},
	{defaulttolerationseconds.PluginName, defaulttolerationseconds.Register, nil},
	{setdefault.PluginName, setdefault.Register, []events.Kind{"StorageClass"}},
	{storageobjectinuseprotection.PluginName, storageobjectinuseprotection.Register, nil},
	{resize.PluginName, resize.Register, nil},
	{runtimeclass.PluginName, runtimeclass.Register, nil},
	{certapproval.PluginName, certapproval.Register, nil},
	{certsigning.PluginName, certsigning.Register, nil},
	{certsubjectrestriction.PluginName, certsubjectrestriction.Register, nil},
	{defaultingressclass.PluginName, defaultingressclass.Register, []events.Kind{"IngressClass"}},
	{podtopologylabels.PluginName, podtopologylabels.Register, nil},
	{nodedeclaredfeatures.PluginName, nodedeclaredfeatures.Register, nil},
	{podresize.PluginName, podresize.Register, nil},
	{mutatingpolicy.PluginName, mutatingpolicy.Register, []events.Kind{mutatingPolicy, "MutatingAdmissionPolicyBinding"}},
	{mutatingwebhook.PluginName, mutatingwebhook.Register, []events.Kind{mutatingWebhooks}},
	{validatingpolicy.PluginName, validatingpolicy.Register, []events.Kind{validatingPolicy, "ValidatingAdmissionPolicyBinding"}},
	{validatingwebhook.PluginName, validatingwebhook.Register, []events.Kind{validatingWebhooks}},
	{resourcequota.PluginName, resourcequota.Register, []events.Kind{resourceQuota}},
}

// Kinds by whose objects admission decides about pods.
const (
	limitRange         events.Kind = "LimitRange"
	resourceQuota      events.Kind = "ResourceQuota"
	mutatingPolicy     events.Kind = "MutatingAdmissionPolicy"
	validatingPolicy   events.Kind = "ValidatingAdmissionPolicy"
	mutatingWebhooks   events.Kind = "MutatingWebhookConfiguration"
	validatingWebhooks events.Kind = "ValidatingWebhookConfiguration"
)

// noConfig gives plugins no configuration file.
type noConfig struct{}

// ConfigFor implements admission.ConfigProvider.
func (noConfig) ConfigFor(string) (io.Reader, error) { return nil, nil }

// Admission is what a cluster's rules say of new and changed objects:
// Kubernetes' own plugins over the tables of a log. Its methods may be called
// from any goroutine.
type Admission struct {
	admission.Interface
	objects *table.Tables
	alike   *alike // of pods beside the API
	hooked  hooked
}

var (
	_ admission.MutationInterface   = (*Admission)(nil)
	_ admission.ValidationInterface = (*Admission)(nil)
)

// newAdmission returns the admission of a server that is being made.
func newAdmission(s *Server) (*Admission, error) {
	client, err := tableClient(s.config.Objects, s.Loopback())
	if err != nil {
		return nil, fmt.Errorf("make the client of the admission: %w", err)
	}
	allowed := authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		return s.generic.Authorizer.Authorize(ctx, a)
	})
	version := compatibility.NewEffectiveVersionFromString(Version, "", "")
	start := initializer.New(client, nil, s.shared, allowed, featureGate, version, s.life.Done(), nil)
	known, now := admission.NewPlugins(), admission.NewPlugins()
	var names []string
	for _, p := range admissionPlugins {
		p.register(known)
		names = append(names, p.name)
		if p.by == nil {
			p.register(now)
			continue
		}
		later := lazily(s.config.Objects, p.by, func() (admission.Interface, error) {
			all, err := s.initializers(client, allowed)
			if err == nil && p.name == mutatingpolicy.PluginName {
				// It refuses what it has no schema of, and the first takes a while to make.
				_, err = s.client.Discovery().OpenAPIV3().Paths()
			}
			if err != nil {
				return nil, fmt.Errorf("make what %s needs: %w", p.name, err)
			}
			return known.InitPlugin(p.name, nil, all)
		})
		now.Register(p.name, func(io.Reader) (admission.Interface, error) { return later, nil })
	}
	chain, err := now.NewFromPlugins(names, noConfig{}, start, nil)
	if err != nil {
		return nil, fmt.Errorf("make the admission: %w", err)
	}
	objects := s.config.Objects
	return &Admission{chain, objects, &alike{known: map[revisionOf]*admittedPod{}}, hooked{objects: objects}}, nil
}

// initializers give plugins all that kube-apiserver gives them.
func (s *Server) initializers(client kubernetes.Interface, allowed authorizer.Authorizer) (admission.PluginInitializers, error) {
	any, err := dynamic.NewForConfig(s.Loopback())
	if err != nil {
		return nil, err
	}
	quotas, err := quotainstall.NewQuotaConfigurationForAdmission(s.shared, nil)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.client.Discovery()))
	version := compatibility.NewEffectiveVersionFromString(Version, "", "")
	return admission.PluginInitializers{
		initializer.New(client, any, s.shared, allowed, featureGate, version, s.life.Done(), mapper),
		webhookinit.NewPluginInitializer(nil, s.resolver()),
		controlplaneadmission.NewPluginInitializer(quotas, exclusion.Excluded()),
	}, nil
}

// plannedKey is the key under which a context has the objects of WithPlanned.
type plannedKey struct{}

// WithPlanned returns a context for dry runs of clients in this process: the
// objects, of which no uid is asked for, count as there for what is to be made
// after them. So many objects can be rehearsed before the first is made.
func WithPlanned(ctx context.Context, objects map[events.Ref]bool) context.Context {
	return context.WithValue(ctx, plannedKey{}, objects)
}

// waits reports whether a dry run is of an object for which something has to be
// there that is only planned: the rules about it cannot be asked yet.
func (a *Admission) waits(ctx context.Context, x admission.Attributes) bool {
	planned, _ := ctx.Value(plannedKey{}).(map[events.Ref]bool)
	if len(planned) == 0 || !x.IsDryRun() {
		return false
	}
	has := func(kind events.Kind, namespace, name string) bool {
		key := events.Key{Namespace: namespace, Name: name}
		return planned[events.Ref{Kind: kind, Key: key}] && a.objects.Of(kind).Get(key) == nil
	}
	if has(events.Namespace, "", x.GetNamespace()) {
		return true
	}
	pod, ok := x.GetObject().(*api.Pod)
	return ok && (has(events.ServiceAccount, x.GetNamespace(), pod.Spec.ServiceAccountName) || has(events.PriorityClass, "", pod.Spec.PriorityClassName) ||
		pod.Spec.RuntimeClassName != nil && has(events.RuntimeClass, "", *pod.Spec.RuntimeClassName))
}

// Admit implements admission.MutationInterface.
func (a *Admission) Admit(ctx context.Context, x admission.Attributes, o admission.ObjectInterfaces) error {
	if a.waits(ctx, x) {
		return nil
	}
	return a.Interface.(admission.MutationInterface).Admit(ctx, x, o)
}

// Validate implements admission.ValidationInterface.
func (a *Admission) Validate(ctx context.Context, x admission.Attributes, o admission.ObjectInterfaces) error {
	if a.waits(ctx, x) {
		return nil
	}
	return a.Interface.(admission.ValidationInterface).Validate(ctx, x, o)
}

func namespacePhase(data []byte) corev1.NamespacePhase {
	var n corev1.Namespace
	if wire.Unmarshal(data, &n) != nil {
		return ""
	}
	return n.Status.Phase
}
