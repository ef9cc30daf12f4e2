package apiserver

import (
	"fmt"
	"net/http"
	"strings"

	extensionsinstall "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/networking"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
)

// absent is a resource that clients look for and that has no objects, because
// nothing would act on them. It is in discovery and can be listed, watched and
// deleted from: kubectl lists CustomResourceDefinitions when it meets a kind
// that the schema does not have, `apply --prune` maps most of the others before
// it does anything, and `describe ns` lists quotas and limits. What would make an
// object is refused by refuseAbsent.
type absent struct {
	resource
	short      []string
	categories []string
	namespaced bool
}

// absents are in the groups of their registries.
var absents = []absent{
	{resourceFor("", "Endpoints", bucketNone), []string{"ep"}, nil, true},
	{resourceFor("", "LimitRange", bucketNone), []string{"limits"}, nil, true},
	{resourceFor("", "ReplicationController", bucketNone), []string{"rc"}, []string{"all"}, true},
	{resourceFor("", "ResourceQuota", bucketNone), []string{"quota"}, nil, true},
	{resourceFor("", "Service", bucketNone), []string{"svc"}, []string{"all"}, true},
	{resourceFor(networking.GroupName, "Ingress", bucketNone), []string{"ing"}, nil, true},
}

func init() { extensionsinstall.Install(legacyscheme.Scheme) }

func absentOf(group, name string) (absent, bool) {
	for _, a := range absents {
		if a.group == group && a.name == name {
			return a, true
		}
	}
	return absent{}, false
}

// absentREST is Kubernetes' registry of an absent resource, without what makes
// and changes objects.
type absentREST struct {
	reader
	absent
}

type reader interface {
	rest.Storage
	rest.Lister
	rest.Getter
	rest.Watcher
	rest.GracefulDeleter
	rest.CollectionDeleter
	rest.Scoper
	rest.SingularNameProvider
}

// ShortNames implements rest.ShortNamesProvider.
func (a *absentREST) ShortNames() []string { return a.short }

// Categories implements rest.CategoriesProvider.
func (a *absentREST) Categories() []string { return a.categories }

// empty returns an empty object of the kind with a suffix.
func (a absent) empty(suffix string) runtime.Object {
	o, err := legacyscheme.Scheme.New(schema.GroupVersionKind{Group: a.group, Version: runtime.APIVersionInternal, Kind: string(a.kind) + suffix})
	if err != nil {
		panic(err) // the kinds of absents are installed
	}
	return o
}

// putAbsent puts the absent resources of a group into it.
func (i *installer) putAbsent(group string, g group) {
	for _, a := range absents {
		if a.group != group {
			continue
		}
		gr := schema.GroupResource{Group: group, Resource: a.name}
		s := &genericregistry.Store{DefaultQualifiedResource: gr, SingularQualifiedResource: schema.GroupResource{Group: group, Resource: strings.ToLower(string(a.kind))},
			NewFunc: func() runtime.Object { return a.empty("") }, NewListFunc: func() runtime.Object { return a.empty("List") },
			TableConvertor: rest.NewDefaultTableConvertor(gr), DeleteStrategy: configmap.Strategy}
		if s.CreateStrategy = configmap.Strategy; !a.namespaced { // nothing is made: the strategy says whether names are in namespaces
			s.CreateStrategy = priorityclass.Strategy
		}
		i.keep(s.CompleteWithOptions(&generic.StoreOptions{RESTOptions: i.options}))
		g[a.name] = &absentREST{s, a}
	}
}

// refuseAbsent refuses what would make or change an object of an absent
// resource, in a sentence that ends up in kubectl's error.
func refuseAbsent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || info.Verb != "create" && info.Verb != "update" && info.Verb != "patch" {
			next.ServeHTTP(w, r)
			return
		}
		a, ok := absentOf(info.APIGroup, info.Resource)
		if !ok || info.APIVersion != apiVersion {
			next.ServeHTTP(w, r)
			return
		}
		err := notAllowed(http.StatusMethodNotAllowed, fmt.Sprintf("rollcall keeps no %s: nothing in it would act on them; other objects are not affected", a.name))
		err.ErrStatus.Details = &metav1.StatusDetails{Group: a.group, Kind: a.name, Name: info.Name}
		refuse(w, r, err)
	})
}
