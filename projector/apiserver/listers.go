package apiserver

import (
	"context"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
	"rollcall/projector/apiserver/informer"
	"rollcall/projector/table"
)

// tableInformers are informers over the tables of a log, of all its kinds, for
// what Kubernetes wrote for client-go's. Those of other kinds never have all
// there is, so that a plugin of admission which asks for one admits nothing.
func tableInformers(g *informer.Group, objects *table.Tables, opens *secrets) (informers.SharedInformerFactory, error) {
	f := informers.NewSharedInformerFactory(nil, 0)
	have := func(gvk schema.GroupVersionKind, t *table.Table) error {
		o, err := scheme.Scheme.New(gvk)
		if err != nil {
			return err
		}
		c := codec{legacyscheme.Scheme, gvk, nil}
		if gvk.Kind == string(events.Secret) {
			c.secrets = opens
		}
		i := g.Over(t, func(i *table.Item) (runtime.Object, error) { return c.versioned(i.Data, i.Rev) })
		f.InformerFor(o, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return i })
		return nil
	}
	for _, kind := range events.Kinds() {
		if err := have(resourceFor(kind.Group(), kind, "").gvk(), objects.Of(kind)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// tableClient returns a client with which plugins look again for what a lister
// did not find: they expect listers to be late. These are not, so that it reads
// the same. It gets single objects and does nothing else.
func tableClient(objects *table.Tables) (kubernetes.Interface, error) {
	known := request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	get := func(w http.ResponseWriter, r *http.Request) {
		info, err := known.NewRequestInfo(r)
		if err != nil {
			refuse(w, r, apierrors.NewBadRequest(err.Error()))
			return
		}
		gr := schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}
		kept, ok := resourceOf(gr)
		key := events.Key{Namespace: info.Namespace, Name: info.Name}
		if kept.kind == events.Namespace {
			key.Namespace = "" // to the path of a namespace it is its own
		}
		var i *table.Item
		if ok && info.Verb == "get" {
			i = objects.Of(kept.kind).Get(key)
		}
		if i == nil {
			refuse(w, r, apierrors.NewNotFound(gr, info.Name))
			return
		}
		o, err := codec{legacyscheme.Scheme, kept.gvk(), nil}.versioned(i.Data, i.Rev)
		if err != nil {
			refuse(w, r, apierrors.NewInternalError(err))
			return
		}
		responsewriters.WriteObjectNegotiated(legacyscheme.Codecs, negotiation.DefaultEndpointRestrictions, kept.gvk().GroupVersion(), w, r, http.StatusOK, o, false)
	}
	reader := &local{handler: http.HandlerFunc(get), life: context.Background()}
	return kubernetes.NewForConfig(&rest.Config{Host: "http://tables", Transport: localTransport{local: reader}, QPS: -1})
}
