package informer

import (
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"

	"rollcall/projector/table"
)

// indexer is a table as listers read it. It decodes an object each time and
// keeps none, so that an index is a walk over the table, but for that of
// namespaces, in whose order it is.
type indexer struct {
	table  *table.Table
	decode Decode

	mu sync.Mutex
	by cache.Indexers
}

// under returns the objects whose key begins with prefix.
func (x *indexer) under(prefix string) []any {
	var all []any
	items, _ := x.table.Snapshot()
	items.From(prefix, "", func(i *table.Item) bool {
		if o, err := x.decode(i); err == nil {
			all = append(all, o)
		}
		return true
	})
	return all
}

// List implements cache.Store.
func (x *indexer) List() []any { return x.under("") }

// ListKeys implements cache.Store.
func (x *indexer) ListKeys() []string { return keysOf(x.List()) }

// Get implements cache.Store.
func (x *indexer) Get(o any) (any, bool, error) {
	key, err := cache.MetaNamespaceKeyFunc(o)
	if err != nil {
		return nil, false, err
	}
	return x.GetByKey(key)
}

// GetByKey implements cache.Store.
func (x *indexer) GetByKey(key string) (any, bool, error) {
	i := x.table.At(key)
	if i == nil {
		return nil, false, nil
	}
	o, err := x.decode(i)
	return o, err == nil, err
}

// LastStoreSyncResourceVersion implements cache.Store.
func (x *indexer) LastStoreSyncResourceVersion() string { return revision(x.table.Last()) }

// Index implements cache.Indexer.
func (x *indexer) Index(name string, of any) ([]any, error) {
	if name == cache.NamespaceIndex {
		m, err := meta.Accessor(of)
		if err != nil {
			return nil, err
		}
		return x.under(m.GetNamespace() + "/"), nil
	}
	f, err := x.index(name)
	if err != nil {
		return nil, err
	}
	values, err := f(of)
	if err != nil {
		return nil, err
	}
	return x.with(f, values)
}

// ByIndex implements cache.Indexer.
func (x *indexer) ByIndex(name, value string) ([]any, error) {
	if name == cache.NamespaceIndex {
		return x.under(value + "/"), nil
	}
	f, err := x.index(name)
	if err != nil {
		return nil, err
	}
	return x.with(f, []string{value})
}

// IndexKeys implements cache.Indexer.
func (x *indexer) IndexKeys(name, value string) ([]string, error) {
	all, err := x.ByIndex(name, value)
	return keysOf(all), err
}

// ListIndexFuncValues implements cache.Indexer.
func (x *indexer) ListIndexFuncValues(name string) []string {
	f, err := x.index(name)
	if err != nil {
		return nil
	}
	var all []string
	for _, o := range x.List() {
		if values, err := f(o); err == nil {
			all = append(all, values...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// GetIndexers implements cache.Indexer.
func (x *indexer) GetIndexers() cache.Indexers {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	for name, f := range x.by {
		all[name] = f
	}
	return all
}

// AddIndexers implements cache.Indexer.
func (x *indexer) AddIndexers(by cache.Indexers) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, f := range by {
		x.by[name] = f
	}
	return nil
}

func (x *indexer) index(name string) (cache.IndexFunc, error) {
	f, ok := x.GetIndexers()[name]
	if !ok {
		return nil, fmt.Errorf("the table has no index %q", name)
	}
	return f, nil
}

// with returns the objects that an index puts under one of some values.
func (x *indexer) with(f cache.IndexFunc, values []string) ([]any, error) {
	var all []any
	for _, o := range x.List() {
		has, err := f(o)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(has, func(v string) bool { return slices.Contains(values, v) }) {
			all = append(all, o)
		}
	}
	return all, nil
}

func keysOf(all []any) []string {
	var keys []string
	for _, o := range all {
		if key, err := cache.MetaNamespaceKeyFunc(o); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// Add implements cache.Store.
func (x *indexer) Add(any) error { return errTable }

// Update implements cache.Store.
func (x *indexer) Update(any) error { return errTable }

// Delete implements cache.Store.
func (x *indexer) Delete(any) error { return errTable }

// Replace implements cache.Store.
func (x *indexer) Replace([]any, string) error { return errTable }

// Resync implements cache.Store.
func (x *indexer) Resync() error { return nil }

// Bookmark implements cache.Store.
func (x *indexer) Bookmark(string) {}
