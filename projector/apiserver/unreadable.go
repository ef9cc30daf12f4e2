package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	internalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// unreadables are the objects of a store that Kubernetes' decoder refuses, as
// far as somebody has met them. Others than the API append to a log, and one
// bad object must not hide the good ones: lists leave it out with a warning,
// watches skip it, reading it by name says why, and it can be deleted.
type unreadables struct {
	mu  sync.Mutex
	met map[string]unreadable // by key
}

type unreadable struct {
	rev uint64
	why string
}

// meet notes that an item cannot be read.
func (u *unreadables) meet(i *table.Item, why error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.met == nil {
		u.met = map[string]unreadable{}
	}
	u.met[i.Path()] = unreadable{i.Rev, why.Error()}
}

// has reports whether an item was met.
func (u *unreadables) has(i *table.Item) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return i != nil && u.met[i.Path()].rev == i.Rev
}

// under returns the keys with a prefix whose objects still are as they were
// met, in order, and forgets the others.
func (u *unreadables) under(prefix string, t *table.Table) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(u.met)) {
		if i := t.At(key); i == nil || i.Rev != u.met[key].rev {
			delete(u.met, key)
		} else if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// read decodes an item, and notes one that cannot be.
func (s *store) read(i *table.Item) (runtime.Object, error) {
	o, err := s.codec.decode(i.Data, i.Rev)
	if err != nil {
		s.unreadable.meet(i, err)
		return nil, s.cannotRead(i, err)
	}
	return o, nil
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

// deleteUnreadable deletes objects that cannot be read, which the registries
// could not: they look at an object before they delete it. Neither grace nor
// finalizers hold it.
func (s *Server) deleteUnreadable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, ok := s.unreadableOf(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		uid, err := d.delete(r)
		if err != nil {
			refuse(w, r, err)
			return
		}
		status := &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK, Details: &metav1.StatusDetails{
			Name: table.KeyOf(d.item.Path()).Name, Group: d.group, Kind: d.name, UID: uid}}
		responsewriters.WriteObjectNegotiated(legacyscheme.Codecs, negotiation.DefaultEndpointRestrictions, metav1.Unversioned, w, r, http.StatusOK, status, false)
	})
}

// doomed is an object that cannot be read and that somebody wants deleted.
type doomed struct {
	resource
	item    *table.Item
	backend backend
}

// unreadableOf returns the object that a request deletes, if it cannot be read.
func (s *Server) unreadableOf(r *http.Request) (doomed, bool) {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || info.Verb != "delete" || info.Subresource != "" || info.Name == "" {
		return doomed{}, false
	}
	found, ok := resourceOf(schema.GroupResource{Group: info.APIGroup, Resource: info.Resource})
	if !ok {
		return doomed{}, false
	}
	key := info.Name
	if info.Namespace != "" && found.kind() != events.Namespace {
		key = info.Namespace + "/" + info.Name
	}
	i := s.stores.tables[found.name].At(key)
	if i == nil {
		return doomed{}, false
	}
	_, err := codec{legacyscheme.Scheme, found.gvk()}.decode(i.Data, i.Rev)
	return doomed{found, i, s.stores.backends[found.name]}, err != nil
}

// delete appends that the object is gone and returns the uid that it had.
func (d doomed) delete(r *http.Request) (uid types.UID, err error) {
	o, err := deleteOptions(r)
	if err != nil {
		return "", apierrors.NewBadRequest(err.Error())
	}
	var m metav1.ObjectMeta
	_ = wire.Unmarshal(wire.Field(d.item.Data, "metadata"), &m) // as much of it as can be read
	gr := schema.GroupResource{Group: d.group, Resource: d.name}
	if p := o.Preconditions; p != nil && p.UID != nil && *p.UID != m.UID {
		return "", apierrors.NewConflict(gr, m.Name, fmt.Errorf("it has uid %q, not %q", m.UID, *p.UID))
	}
	if len(o.DryRun) > 0 {
		return m.UID, nil
	}
	gone := events.Object{Ref: events.Ref{Kind: d.kind(), Key: table.KeyOf(d.item.Path()), UID: m.UID}, Data: d.item.Data}
	_, err = d.backend.append(r.Context(), write{verb: events.VerbDeleted, key: d.item.Path(), now: gone, before: d.item.Data, last: d.item.Rev})
	if errors.Is(err, events.ErrConflict) {
		return "", apierrors.NewConflict(gr, cmp.Or(m.Name, d.item.Path()), errors.New("it has changed meanwhile"))
	}
	return m.UID, err
}

// maxDeleteOptions bounds what is read of a body that is to hold options.
const maxDeleteOptions = 1 << 20

// deleteOptions are those of the body of a request, and of its query if it has
// none, as Kubernetes reads them.
func deleteOptions(r *http.Request) (*metav1.DeleteOptions, error) {
	o := &metav1.DeleteOptions{}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxDeleteOptions))
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return o, internalscheme.ParameterCodec.DecodeParameters(r.URL.Query(), metav1.SchemeGroupVersion, o)
	}
	in, err := negotiation.NegotiateInputSerializer(r, false, internalscheme.Codecs)
	if err != nil {
		return nil, err
	}
	kind := metav1.SchemeGroupVersion.WithKind("DeleteOptions")
	_, _, err = internalscheme.Codecs.DecoderToVersion(in.Serializer, kind.GroupVersion()).Decode(body, &kind, o)
	return o, err
}
