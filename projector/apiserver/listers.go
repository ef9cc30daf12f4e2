package apiserver

import (
	"context"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/core"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/informers/node"
	"k8s.io/client-go/informers/scheduling"
	"k8s.io/client-go/informers/storage"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
	"rollcall/projector/table"
)

// tableIndexer is a table as client-go's listers read it. It decodes an object
// each time, keeps none, and is never behind the table. What listers do not
// call is left to the nil interface.
type tableIndexer struct {
	cache.Indexer
	codec codec
	table *table.Table // nil: no objects of the kind are kept
}

// under returns the objects whose key begins with prefix, but for those that
// cannot be read.
func (x tableIndexer) under(prefix string) []any {
	if x.table == nil {
		return nil
	}
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
	if x.table == nil {
		return nil, false, nil
	}
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
	cache.SharedIndexInformer
	indexer tableIndexer
}

// HasSynced implements cache.SharedIndexInformer.
func (tableInformer) HasSynced() bool { return true }

// GetIndexer implements cache.SharedIndexInformer.
func (i tableInformer) GetIndexer() cache.Indexer { return i.indexer }

// tableInformers is a factory of informers over the tables of a log, of the
// groups that plugins of admission ask for.
type tableInformers struct {
	informers.SharedInformerFactory
	objects *table.Tables
}

var _ internalinterfaces.SharedInformerFactory = tableInformers{}

// InformerFor implements internalinterfaces.SharedInformerFactory.
func (f tableInformers) InformerFor(o runtime.Object, _ internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	kinds, _, err := legacyscheme.Scheme.ObjectKinds(o)
	if err != nil {
		return tableInformer{} // a kind that is not served: there are no objects of it
	}
	x := tableIndexer{codec: codec{legacyscheme.Scheme, kinds[0]}}
	if _, ok := events.Kept(kinds[0].Group, events.Kind(kinds[0].Kind)); ok {
		x.table = f.objects.Of(events.Kind(kinds[0].Kind))
	}
	return tableInformer{indexer: x}
}

// Start implements informers.SharedInformerFactory: there is nothing to start.
func (f tableInformers) Start(<-chan struct{}) {}

// Core implements informers.SharedInformerFactory.
func (f tableInformers) Core() core.Interface { return core.New(f, "", nil) }

// Node implements informers.SharedInformerFactory.
func (f tableInformers) Node() node.Interface { return node.New(f, "", nil) }

// Scheduling implements informers.SharedInformerFactory.
func (f tableInformers) Scheduling() scheduling.Interface { return scheduling.New(f, "", nil) }

// Storage implements informers.SharedInformerFactory.
func (f tableInformers) Storage() storage.Interface { return storage.New(f, "", nil) }

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
		if kept.kind() == events.Namespace {
			key.Namespace = "" // to the path of a namespace it is its own
		}
		var i *table.Item
		if ok && info.Verb == "get" {
			i = objects.Of(kept.kind()).Get(key)
		}
		if i == nil {
			refuse(w, r, apierrors.NewNotFound(gr, info.Name))
			return
		}
		o, err := codec{legacyscheme.Scheme, kept.gvk()}.versioned(i.Data, i.Rev)
		if err != nil {
			refuse(w, r, apierrors.NewInternalError(err))
			return
		}
		responsewriters.WriteObjectNegotiated(legacyscheme.Codecs, negotiation.DefaultEndpointRestrictions, kept.gvk().GroupVersion(), w, r, http.StatusOK, o, false)
	}
	reader := &local{handler: http.HandlerFunc(get), life: context.Background()}
	return kubernetes.NewForConfig(&rest.Config{Host: "http://tables", Transport: localTransport{local: reader}, QPS: -1})
}
