package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/core"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/informers/node"
	"k8s.io/client-go/informers/scheduling"
	"k8s.io/client-go/informers/storage"
	"k8s.io/client-go/kubernetes"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	nodeclient "k8s.io/client-go/kubernetes/typed/node/v1"
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

// tableClient is what plugins look again with for what a lister did not find:
// they expect listers to be late. These are not, so that it reads the same.
type tableClient struct {
	kubernetes.Interface
	informers tableInformers
}

// CoreV1 implements kubernetes.Interface.
func (c tableClient) CoreV1() coreclient.CoreV1Interface { return coreTables{informers: c.informers} }

// NodeV1 implements kubernetes.Interface.
func (c tableClient) NodeV1() nodeclient.NodeV1Interface { return nodeTables{informers: c.informers} }

type coreTables struct {
	coreclient.CoreV1Interface
	informers tableInformers
}

// Namespaces implements coreclient.CoreV1Interface.
func (c coreTables) Namespaces() coreclient.NamespaceInterface {
	return namespaceTable{get: c.informers.Core().V1().Namespaces().Lister().Get}
}

// ServiceAccounts implements coreclient.CoreV1Interface.
func (c coreTables) ServiceAccounts(ns string) coreclient.ServiceAccountInterface {
	return accountTable{get: c.informers.Core().V1().ServiceAccounts().Lister().ServiceAccounts(ns).Get}
}

type nodeTables struct {
	nodeclient.NodeV1Interface
	informers tableInformers
}

// RuntimeClasses implements nodeclient.NodeV1Interface.
func (c nodeTables) RuntimeClasses() nodeclient.RuntimeClassInterface {
	return runtimeTable{get: c.informers.Node().V1().RuntimeClasses().Lister().Get}
}

type namespaceTable struct {
	coreclient.NamespaceInterface
	get func(string) (*corev1.Namespace, error)
}

// Get implements coreclient.NamespaceInterface. What it does not find clients
// are told in its words, which are those of the API and not of a lister.
func (t namespaceTable) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Namespace, error) {
	n, err := t.get(name)
	if apierrors.IsNotFound(err) {
		err = apierrors.NewNotFound(corev1.Resource("namespaces"), name)
	}
	return n, err
}

type accountTable struct {
	coreclient.ServiceAccountInterface
	get func(string) (*corev1.ServiceAccount, error)
}

// Get implements coreclient.ServiceAccountInterface.
func (t accountTable) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.ServiceAccount, error) {
	return t.get(name)
}

type runtimeTable struct {
	nodeclient.RuntimeClassInterface
	get func(string) (*nodev1.RuntimeClass, error)
}

// Get implements nodeclient.RuntimeClassInterface.
func (t runtimeTable) Get(_ context.Context, name string, _ metav1.GetOptions) (*nodev1.RuntimeClass, error) {
	return t.get(name)
}
