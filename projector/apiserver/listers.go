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
	for _, kind := range events.Kinds() {
		gvk := resourceFor(kind.Group(), kind, "").gvk()
		o, err := legacyscheme.Scheme.New(gvk)
		if err != nil {
			return nil, err
		}
		c := codec{scheme: legacyscheme.Scheme, stored: gvk}
		if kind == events.Secret {
			c.secrets = opens
		}
		i := g.Over(objects.Of(kind), func(i *table.Item) (runtime.Object, error) { return c.versioned(i.Data, i.Rev) })
		f.InformerFor(o, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return i })
	}
	return f, nil
}

// tableClient returns a client with which plugins look again for what a lister
// did not find: they expect listers to be late. These are not, so that it reads
// single objects from the same tables. What else plugins want is done by the
// server, as itself.
func tableClient(objects *table.Tables, server *rest.Config) (kubernetes.Interface, error) {
	c := rest.CopyConfig(server)
	get := &local{handler: tableReader{objects}, life: context.Background()}
	c.Transport = tableTransport{localTransport{local: get}, server.Transport}
	return kubernetes.NewForConfig(c)
}

// tableTransport is the http.RoundTripper of tableClient.
type tableTransport struct{ objects, server http.RoundTripper }

var requestInfo = request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}

// RoundTrip implements http.RoundTripper.
func (t tableTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	info, err := requestInfo.NewRequestInfo(r)
	if err != nil {
		return nil, err
	}
	kept, ok := resourceOf(schema.GroupResource{Group: info.APIGroup, Resource: info.Resource})
	if ok && kept.bucket == "" && kept.kind != events.Secret && info.Verb == "get" && info.Subresource == "" {
		return t.objects.RoundTrip(r)
	}
	return t.server.RoundTrip(r)
}

// tableReader answers requests for single objects.
type tableReader struct{ objects *table.Tables }

// ServeHTTP implements http.Handler.
func (t tableReader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info, err := requestInfo.NewRequestInfo(r)
	if err != nil {
		refuse(w, r, apierrors.NewBadRequest(err.Error()))
		return
	}
	gr := schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}
	kept, _ := resourceOf(gr)
	key := events.Key{Namespace: info.Namespace, Name: info.Name}
	if kept.kind == events.Namespace {
		key.Namespace = "" // to the path of a namespace it is its own
	}
	i := t.objects.Of(kept.kind).Get(key)
	if i == nil {
		refuse(w, r, apierrors.NewNotFound(gr, info.Name))
		return
	}
	o, err := codec{scheme: legacyscheme.Scheme, stored: kept.gvk()}.versioned(i.Data, i.Rev)
	if err != nil {
		refuse(w, r, apierrors.NewInternalError(err))
		return
	}
	responsewriters.WriteObjectNegotiated(legacyscheme.Codecs, negotiation.DefaultEndpointRestrictions, kept.gvk().GroupVersion(), w, r, http.StatusOK, o, false)
}
