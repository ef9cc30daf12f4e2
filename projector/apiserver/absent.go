package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	extensionsinstall "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/networking"

	"rollcall/projector/table"
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
	{resourceFor("", "Endpoints", ""), []string{"ep"}, nil, true},
	{resourceFor("", "LimitRange", ""), []string{"limits"}, nil, true},
	{resourceFor("", "ReplicationController", ""), []string{"rc"}, []string{"all"}, true},
	{resourceFor("", "ResourceQuota", ""), []string{"quota"}, nil, true},
	{resourceFor("", "Service", ""), []string{"svc"}, []string{"all"}, true},
	{resourceFor(networking.GroupName, "Ingress", ""), []string{"ing"}, nil, true},
	{resourceFor(apiextensions.GroupName, "CustomResourceDefinition", ""), []string{"crd", "crds"}, []string{"api-extensions"}, false},
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

// absentREST is the registry of an absent resource, over a table in which
// nothing is ever put.
type absentREST struct {
	rest.TableConvertor
	absent
	store *store
}

var (
	_ rest.Lister               = (*absentREST)(nil)
	_ rest.Getter               = (*absentREST)(nil)
	_ rest.Watcher              = (*absentREST)(nil)
	_ rest.GracefulDeleter      = (*absentREST)(nil)
	_ rest.CollectionDeleter    = (*absentREST)(nil)
	_ rest.Scoper               = (*absentREST)(nil)
	_ rest.KindProvider         = (*absentREST)(nil)
	_ rest.ShortNamesProvider   = (*absentREST)(nil)
	_ rest.CategoriesProvider   = (*absentREST)(nil)
	_ rest.SingularNameProvider = (*absentREST)(nil)
)

func (a absent) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: a.group, Resource: a.name}
}

// object returns an empty object of the resource.
func (a absent) object() runtime.Object { return a.empty("") }

// empty returns an empty object of the kind with a suffix.
func (a absent) empty(suffix string) runtime.Object {
	o, err := legacyscheme.Scheme.New(schema.GroupVersionKind{Group: a.group, Version: runtime.APIVersionInternal, Kind: string(a.kind) + suffix})
	if err != nil {
		panic(err) // the kinds of absents are installed
	}
	return o
}

func newAbsent(a absent, b backend) *absentREST {
	s := &store{codec: codec{legacyscheme.Scheme, a.gvk()}, prefix: "/" + a.name + "/", table: table.NewTable(table.Recent), backend: b, newFunc: a.object, unreadable: &unreadables{}}
	return &absentREST{rest.NewDefaultTableConvertor(a.groupResource()), a, s}
}

// New implements rest.Storage.
func (a *absentREST) New() runtime.Object { return a.object() }

// NewList implements rest.Lister.
func (a *absentREST) NewList() runtime.Object { return a.empty("List") }

// Destroy implements rest.Storage.
func (a *absentREST) Destroy() {}

// Kind implements rest.KindProvider.
func (a *absentREST) Kind() string { return string(a.kind) }

// NamespaceScoped implements rest.Scoper.
func (a *absentREST) NamespaceScoped() bool { return a.namespaced }

// GetSingularName implements rest.SingularNameProvider.
func (a *absentREST) GetSingularName() string { return strings.ToLower(string(a.kind)) }

// ShortNames implements rest.ShortNamesProvider.
func (a *absentREST) ShortNames() []string { return a.short }

// Categories implements rest.CategoriesProvider.
func (a *absentREST) Categories() []string { return a.categories }

// Get implements rest.Getter.
func (a *absentREST) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	return nil, apierrors.NewNotFound(a.groupResource(), name)
}

// Delete implements rest.GracefulDeleter.
func (a *absentREST) Delete(_ context.Context, name string, _ rest.ValidateObjectFunc, _ *metav1.DeleteOptions) (runtime.Object, bool, error) {
	return nil, false, apierrors.NewNotFound(a.groupResource(), name)
}

// DeleteCollection implements rest.CollectionDeleter.
func (a *absentREST) DeleteCollection(ctx context.Context, _ rest.ValidateObjectFunc, _ *metav1.DeleteOptions, o *internalversion.ListOptions) (runtime.Object, error) {
	return a.List(ctx, o)
}

// List implements rest.Lister.
func (a *absentREST) List(ctx context.Context, _ *internalversion.ListOptions) (runtime.Object, error) {
	list := a.NewList()
	return list, a.store.GetList(ctx, a.store.prefix, storage.ListOptions{Predicate: everything, Recursive: true}, list)
}

// Watch implements rest.Watcher.
func (a *absentREST) Watch(ctx context.Context, o *internalversion.ListOptions) (watch.Interface, error) {
	all := everything
	if o == nil {
		o = &internalversion.ListOptions{}
	}
	all.AllowWatchBookmarks = o.AllowWatchBookmarks
	return a.store.Watch(ctx, a.store.prefix, storage.ListOptions{ResourceVersion: o.ResourceVersion,
		SendInitialEvents: o.SendInitialEvents, Predicate: all, Recursive: true})
}

var everything = storage.SelectionPredicate{Label: labels.Everything(), Field: fields.Everything()}

// putAbsent puts the absent resources of a group into it.
func (i *installer) putAbsent(group string, g group) {
	for _, a := range absents {
		if a.group == group {
			g[a.name] = newAbsent(a, i.writes)
		}
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
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusMethodNotAllowed,
			Reason: metav1.StatusReasonMethodNotAllowed, Details: &metav1.StatusDetails{Group: a.group, Kind: a.name, Name: info.Name},
			Message: fmt.Sprintf("rollcall keeps no %s: nothing in it would act on them; other objects are not affected", a.name)}}
		refuse(w, r, err)
	})
}
