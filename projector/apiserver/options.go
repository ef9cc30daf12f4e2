package apiserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
	"rollcall/projector/table"
)

// restOptions give the registries stores over the log.
type restOptions struct {
	tables   map[string]*table.Table // by plural name
	backends map[string]backend
	met      map[string]*unreadables       // objects that could not be read, by plural name
	alive    Heartbeat                     // nil: every Lease is written by somebody
	renew    func(context.Context, string) // renews the Lease of a node
	now      func() time.Time              // the instant whose cluster is served
	secrets  *secrets
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (o restOptions) GetRESTOptions(gr schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	r, ok := resourceOf(gr)
	if !ok {
		return generic.RESTOptions{}, fmt.Errorf("resource %s is not served", gr)
	}
	gv := r.gvk().GroupVersion()
	c := codec{scheme: legacyscheme.Scheme, stored: r.gvk()}
	if r.kind == events.Secret {
		c.secrets = o.secrets
	}
	config := &storagebackend.ConfigForResource{GroupResource: gr}
	config.Codec = legacyscheme.Codecs.LegacyCodec(gv)
	config.EncodeVersioner = gv
	decorate := func(_ *storagebackend.ConfigForResource, prefix string, keyOf func(runtime.Object) (string, error),
		newFunc, newList func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		s := &store{codec: c, prefix: "/" + r.name + "/", table: o.tables[r.name], backend: o.backends[r.name], newFunc: newFunc, unreadable: o.met[r.name]}
		if r.kind == events.Node {
			s.quiet = o.renew
		}
		l := newLazyCache(s, cacher.Config{GroupResource: gr, KeyFunc: keyOf, NewListFunc: newList, GetAttrsFunc: attrs,
			IndexerFuncs: triggers, Indexers: indexers, Codec: config.Codec})
		if r.bucket == bucketLeases && o.alive != nil {
			return nodeLeases{l, o.tables["nodes"], o.tables["namespaces"], o.alive, o.now}, l.destroy, nil
		}
		return l, l.destroy, nil
	}
	return options(config, decorate, "/"+r.name), nil
}

// options returns what a registry needs of a resource under a prefix.
func options(config *storagebackend.ConfigForResource, decorate generic.StorageDecorator, prefix string) generic.RESTOptions {
	return generic.RESTOptions{StorageConfig: config, Decorator: decorate, EnableGarbageCollection: true, DeleteCollectionWorkers: 1, ResourcePrefix: prefix}
}

// progressing is a checker of features that knows this storage to tell watches
// how far it is; the original learns it from clients of etcd.
type progressing struct{ feature.FeatureSupportChecker }

func (p progressing) Supports(f storage.Feature) bool {
	return f == storage.RequestWatchProgress || p.FeatureSupportChecker.Supports(f)
}

var announceProgress = sync.OnceFunc(func() {
	feature.DefaultFeatureSupportChecker = progressing{feature.DefaultFeatureSupportChecker}
})

// lazyCache is a store with Kubernetes' watch cache above it from the first
// read on: a cluster that nobody asks about is not held in memory twice.
type lazyCache struct {
	*store // what is not overridden asks the store alone
	config cacher.Config

	mu        sync.Mutex
	cache     *cacher.Cacher
	delegator *cacher.CacheDelegator // nil: there is no cache
	destroyed bool

	filled sync.Once
	begin  uint64 // revision at which the cache was there: it knows no change before
}

var _ storage.Interface = (*lazyCache)(nil)

// newLazyCache returns a store with its cache, of which c says what depends on
// the registry.
func newLazyCache(s *store, c cacher.Config) *lazyCache {
	c.Storage, c.Versioner, c.EventsHistoryWindow = s, versioner, cacher.DefaultEventFreshDuration
	c.ResourcePrefix, c.NewFunc = s.prefix, s.newFunc
	return &lazyCache{store: s, config: c}
}

// cacheStart is how long a read waits for its cache to be filled. After that
// the cache answers itself: 429, try again.
const cacheStart = 30 * time.Second

// reader returns the store to read from, once it can be.
func (l *lazyCache) reader(ctx context.Context) (storage.Interface, error) {
	cache, err := l.cached()
	if err != nil {
		return nil, fmt.Errorf("start the watch cache of %s: %w", l.config.GroupResource, err)
	}
	if cache != nil {
		ctx, cancel := context.WithTimeout(ctx, cacheStart)
		defer cancel()
		_ = cache.Wait(ctx) // what is wrong, the read tells
	}
	l.filled.Do(func() { l.begin = l.store.backend.position() })
	return l.writer(), nil
}

// cached returns the cache, which it makes if there is none; nil: it is destroyed.
func (l *lazyCache) cached() (_ *cacher.Cacher, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cache != nil || l.destroyed {
		return l.cache, nil
	}
	if l.cache, err = cacher.NewCacherFromConfig(l.config); err == nil {
		l.delegator = cacher.NewCacheDelegator(l.cache, l.store)
	}
	return l.cache, err
}

// writer returns the store to write through: the cache, if there is one, knows
// the objects already.
func (l *lazyCache) writer() storage.Interface {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delegator == nil {
		return l.store
	}
	return l.delegator
}

func (l *lazyCache) destroy() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delegator != nil {
		l.delegator.Stop()
		l.cache.Stop()
	}
	l.cache, l.delegator, l.destroyed = nil, nil, true
}

// Create implements storage.Interface.
func (l *lazyCache) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	return l.writer().Create(ctx, key, obj, out, ttl)
}

// Delete implements storage.Interface.
func (l *lazyCache) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	return l.writer().Delete(ctx, key, out, preconditions, validate, cached, opts)
}

// GuaranteedUpdate implements storage.Interface.
func (l *lazyCache) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	return l.writer().GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, cached)
}

// Watch implements storage.Interface. What has changed before there was a cache
// the store still knows.
func (l *lazyCache) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	r, err := l.reader(ctx)
	if err != nil {
		return nil, err
	}
	if rev, err := versioner.ParseResourceVersion(opts.ResourceVersion); err == nil && rev > 0 && rev < l.begin {
		return l.store.Watch(ctx, key, opts)
	}
	return r.Watch(ctx, key, opts)
}

// Get implements storage.Interface.
func (l *lazyCache) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	return l.writer().Get(ctx, key, opts, out) // one object is as fast without a cache
}

// GetList implements storage.Interface.
func (l *lazyCache) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	if info, ok := request.RequestInfoFrom(ctx); ok && info.Verb == "deletecollection" {
		return l.store.GetList(ctx, key, opts, list) // with what cannot be read: it is to go too
	}
	r := storage.Interface(l.store)
	if asks := l.store.codec.asks; asks == nil || !asks() { // a cache that no webhook fills does not say why
		var err error
		if r, err = l.reader(ctx); err != nil {
			return err
		}
	}
	if err := r.GetList(ctx, key, opts, list); err != nil {
		return err
	}
	l.store.warnUnreadable(ctx, key, opts.Recursive)
	return nil
}
