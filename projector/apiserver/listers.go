package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
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
	"rollcall/projector/table"
)

// tableIndexer is a table as client-go's listers read it. It decodes an object
// each time, keeps none, and is never behind the table. What listers do not
// call finds nothing.
type tableIndexer struct {
	cache.Indexer // empty
	codec         codec
	table         *table.Table
}

// under returns the objects whose key begins with prefix, but for those that
// cannot be read.
func (x tableIndexer) under(prefix string) []any {
	var all []any
	items, _ := x.table.Snapshot()
	items.From(prefix, "", func(i *table.Item) bool {
		if o, err := x.codec.versioned(i.Data, i.Rev); err == nil {
			all = append(all, o)
		}
		return true
	})
	return all
}

// List implements cache.Store.
func (x tableIndexer) List() []any { return x.under("") }

// GetByKey implements cache.Store.
func (x tableIndexer) GetByKey(key string) (any, bool, error) {
	i := x.table.At(key)
	if i == nil {
		return nil, false, nil
	}
	o, err := x.codec.versioned(i.Data, i.Rev)
	return o, err == nil, err
}

// Index implements cache.Indexer, for the one index that listers use.
func (x tableIndexer) Index(name string, of any) ([]any, error) {
	m, err := meta.Accessor(of)
	if err != nil || name != cache.NamespaceIndex {
		return nil, fmt.Errorf("a table has no index %q of %T", name, of)
	}
	return x.under(m.GetNamespace() + "/"), nil
}

// tableInformer is an informer that has everything: it reads where it is kept.
type tableInformer struct {
	cache.SharedIndexInformer // never started: handlers that are added are told nothing
	indexer                   tableIndexer
}

// HasSynced implements cache.SharedIndexInformer.
func (tableInformer) HasSynced() bool { return true }

// GetIndexer implements cache.SharedIndexInformer.
func (i tableInformer) GetIndexer() cache.Indexer { return i.indexer }

// tableInformers are informers over the tables of a log, of the kinds that
// plugins of admission ask for. Those of other kinds never have all there is, so
// that a plugin which asks for one admits nothing.
func tableInformers(objects *table.Tables) (informers.SharedInformerFactory, error) {
	f := informers.NewSharedInformerFactory(nil, 0)
	for o, t := range map[runtime.Object]*table.Table{
		&corev1.Namespace{}:           objects.Of(events.Namespace),
		&corev1.Node{}:                objects.Of(events.Node),
		&corev1.Pod{}:                 objects.Of(events.Pod),
		&corev1.ServiceAccount{}:      objects.Of(events.ServiceAccount),
		&nodev1.RuntimeClass{}:        objects.Of(events.RuntimeClass),
		&schedulingv1.PriorityClass{}: objects.Of(events.PriorityClass),
		&storagev1.StorageClass{}:     table.NewTable(table.Recent), // not served: there are none
	} {
		kinds, _, err := scheme.Scheme.ObjectKinds(o)
		if err != nil {
			return nil, err
		}
		x := tableIndexer{cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil), codec{scheme: legacyscheme.Scheme, stored: kinds[0]}, t}
		f.InformerFor(o, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
			return tableInformer{cache.NewSharedIndexInformer(&cache.ListWatch{}, o, 0, nil), x}
		})
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
		o, err := codec{scheme: legacyscheme.Scheme, stored: kept.gvk()}.versioned(i.Data, i.Rev)
		if err != nil {
			refuse(w, r, apierrors.NewInternalError(err))
			return
		}
		responsewriters.WriteObjectNegotiated(legacyscheme.Codecs, negotiation.DefaultEndpointRestrictions, kept.gvk().GroupVersion(), w, r, http.StatusOK, o, false)
	}
	reader := &local{handler: http.HandlerFunc(get), life: context.Background()}
	return kubernetes.NewForConfig(&rest.Config{Host: "http://tables", Transport: localTransport{local: reader}, QPS: -1})
}
