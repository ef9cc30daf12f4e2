package apiserver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"rollcall/events/wire"
	"rollcall/projector/table"
)

// unreadables are the objects of a store that Kubernetes' decoder refuses, as
// far as somebody has met them. Others than the API append to a log, and one
// bad object must not hide the good ones: lists leave it out with a warning,
// watches skip it, reading it by name says why, and it can be deleted.
type unreadables struct {
	mu  sync.Mutex
	met map[string]uint64 // revisions by key
}

// meet notes that an item cannot be read.
func (u *unreadables) meet(i *table.Item) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.met == nil {
		u.met = map[string]uint64{}
	}
	u.met[i.Path()] = i.Rev
}

// has reports whether an item was met.
func (u *unreadables) has(i *table.Item) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return i != nil && u.met[i.Path()] == i.Rev
}

// under returns the keys with a prefix whose objects still are as they were
// met, in order, and forgets the others.
func (u *unreadables) under(prefix string, t *table.Table) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(u.met)) {
		if i := t.At(key); i == nil || i.Rev != u.met[key] {
			delete(u.met, key)
		} else if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// read decodes an item, and notes one that cannot be. Who deletes an object
// that cannot be read gets its remains, and who replaces a Secret that cannot be
// opened what everybody may see of it.
func (s *store) read(ctx context.Context, i *table.Item) (runtime.Object, error) {
	o, err := s.codec.decode(i.Data, i.Rev)
	if err == nil || isNotConverted(err) {
		return o, err
	}
	if info, ok := request.RequestInfoFrom(ctx); ok && info.Subresource == "" {
		switch {
		case info.Verb == "delete" || info.Verb == "deletecollection":
			return s.remains(i)
		case info.Verb == "update" && isShut(err):
			return s.replaceable(i)
		}
	}
	s.unreadable.meet(i)
	if isShut(err) {
		return nil, s.cannotOpen(i, err)
	}
	return nil, s.cannotRead(i, err)
}

// remains returns the identity of an object that cannot be read, as of one that
// is being deleted already: neither grace nor finalizers hold it.
func (s *store) remains(i *table.Item) (runtime.Object, error) {
	o := s.newFunc()
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	var was metav1.ObjectMeta
	_ = wire.Unmarshal(wire.Field(i.Data, "metadata"), &was) // as much of it as can be read
	key, now := table.KeyOf(i.Path()), metav1.Now()
	m.SetNamespace(key.Namespace)
	m.SetName(key.Name)
	m.SetUID(was.UID)
	m.SetDeletionTimestamp(&now)
	return o, versioner.UpdateObject(o, i.Rev)
}

// cannotRead tells a client that asks for one object why it is not to be had.
func (s *store) cannotRead(i *table.Item, why error) error {
	key := table.KeyOf(i.Path())
	in := ""
	if key.Namespace != "" {
		in = " -n " + key.Namespace
	}
	return apierrors.NewInternalError(fmt.Errorf("%s %s as revision %d holds it is not an object of Kubernetes (%w); "+
		"what wrote it is not the API; `kubectl delete %s %s%s` takes it away",
		s.codec.stored.Kind, i.Path(), i.Rev, why, strings.ToLower(s.codec.stored.Kind), key.Name, in))
}

// mostWarnings bounds the objects that one answer warns of by name.
const mostWarnings = 10

// warnUnreadable warns of the objects that a list leaves out.
func (s *store) warnUnreadable(ctx context.Context, key string, recursive bool) {
	prefix, err := s.key(key, recursive)
	if err != nil {
		return
	}
	keys := s.unreadable.under(prefix, s.table)
	for _, key := range keys[:min(len(keys), mostWarnings)] {
		warning.AddWarning(ctx, "", fmt.Sprintf("%s %q is left out: it cannot be read; get it by its name to see why", s.codec.stored.Kind, key))
	}
	if more := len(keys) - mostWarnings; more > 0 {
		warning.AddWarning(ctx, "", fmt.Sprintf("%d more are left out", more))
	}
}
