package apiserver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// What every namespace has, as in any cluster.
const (
	defaultAccount = "default"
	rootCA         = rootcacertpublisher.RootCACertConfigMapName
	rootCAKey      = "ca.crt"
)

// namespaceKeeper keeps the system's namespaces there, and in every namespace its
// account and the certificate of the API. In Kubernetes three controllers do
// so, each with a cache of all objects of its kinds; this one follows the
// changes of the tables, which hold them already.
type namespaceKeeper struct {
	server *Server
	follow [3]followed
	todo   map[string]bool // namespaces to look at
	failed map[string]bool // those that could not be put right
}

// followed is one table whose changes name namespaces to look at.
type followed struct {
	table *table.Table
	rev   uint64 // up to which they are known
	names func(key string) string
}

func newNamespaceKeeper(s *Server) *namespaceKeeper {
	owner := func(of string) func(string) string {
		return func(key string) string {
			ns, name, _ := strings.Cut(key, "/")
			if name != of {
				return ""
			}
			return ns
		}
	}
	t := s.config.Objects
	k := &namespaceKeeper{server: s, todo: map[string]bool{}, failed: map[string]bool{}}
	k.follow = [3]followed{{table: t.Of(events.Namespace), names: func(key string) string { return key }},
		{table: t.Of(events.ServiceAccount), names: owner(defaultAccount)}, {table: t.Of(events.ConfigMap), names: owner(rootCA)}}
	return k
}

// start looks at every namespace once. What cannot be put right is tried again
// by run.
func (k *namespaceKeeper) start(ctx context.Context) {
	for i := range k.follow {
		k.follow[i].rev = k.follow[i].table.Last()
	}
	k.all()
	k.work(ctx)
}

// all notes every namespace, and those that should be there.
func (k *namespaceKeeper) all() {
	items, _ := k.follow[0].table.Snapshot()
	items.Scan(func(i *table.Item) bool {
		k.todo[i.Path()] = true
		return true
	})
	for _, name := range systemNamespaces {
		k.todo[name] = true
	}
}

// note takes in what changed and returns what is closed at the next change of
// each table.
func (k *namespaceKeeper) note() (wakes [3]<-chan struct{}) {
	for i := range k.follow {
		t := &k.follow[i]
		for {
			last := t.table.Last()
			cs, wake, _, ok := t.table.Since(t.rev)
			wakes[i] = wake
			if !ok { // too much has happened to know what
				t.rev = last
				k.all()
				continue
			}
			if len(cs) == 0 {
				break
			}
			for _, c := range cs {
				if ns := t.names(c.Path()); ns != "" {
					k.todo[ns] = true
				}
			}
			t.rev = cs[len(cs)-1].Rev
		}
	}
	return wakes
}

// work looks at what is noted.
func (k *namespaceKeeper) work(ctx context.Context) {
	for _, ns := range slices.Sorted(maps.Keys(k.todo)) {
		delete(k.todo, ns)
		err := k.server.bootstrapNamespace(ctx, ns)
		if err == nil {
			delete(k.failed, ns)
			continue
		}
		k.failed[ns] = true
		if ctx.Err() == nil {
			klog.ErrorS(err, "bootstrap a namespace")
		}
	}
}

// Pauses after a write that was refused: the first, and the longest.
const (
	keepRetry    = time.Second
	keepPatience = time.Minute
)

// run works until ctx is done.
func (k *namespaceKeeper) run(ctx context.Context) {
	pause := keepRetry
	again := time.NewTimer(pause)
	defer again.Stop()
	for ctx.Err() == nil {
		wakes := k.note()
		k.work(ctx)
		if len(k.failed) == 0 {
			pause = keepRetry
			again.Reset(keepPatience)
		}
		select {
		case <-wakes[0]:
		case <-wakes[1]:
		case <-wakes[2]:
		case <-again.C:
			maps.Copy(k.todo, k.failed)
			pause = min(2*pause, keepPatience)
			again.Reset(pause)
		case <-ctx.Done():
		}
	}
}

// bootstrapNamespace gives a namespace its account and the certificate of the API, and
// makes it again if it is the system's and gone.
func (s *Server) bootstrapNamespace(ctx context.Context, ns string) error {
	i := s.config.Objects.Of(events.Namespace).At(ns)
	switch {
	case i == nil && slices.Contains(systemNamespaces, ns):
		if err := s.makeNamespace(ctx, ns); err != nil {
			return err
		}
	case i == nil || namespacePhase(i.Data) == corev1.NamespaceTerminating:
		return nil
	}
	if s.config.Objects.Of(events.ServiceAccount).At(ns+"/"+defaultAccount) == nil {
		a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: defaultAccount}}
		_, err := s.client.CoreV1().ServiceAccounts(ns).Create(ctx, a, metav1.CreateOptions{})
		if ended(err) != nil {
			return fmt.Errorf("make the account of namespace %s: %w", ns, err)
		}
	}
	if err := ended(s.certify(ctx, ns)); err != nil {
		return fmt.Errorf("keep the certificate of namespace %s: %w", ns, err)
	}
	return nil
}

// certify makes the ConfigMap with the certificate of the API, or puts its
// contents right. An API without a port has none.
func (s *Server) certify(ctx context.Context, ns string) error {
	if s.config.Listener == nil {
		return nil
	}
	maps := s.client.CoreV1().ConfigMaps(ns)
	i := s.config.Objects.Of(events.ConfigMap).At(ns + "/" + rootCA)
	if i == nil {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: rootCA}}
		s.fill(m)
		_, err := maps.Create(ctx, m, metav1.CreateOptions{})
		return err
	}
	var is corev1.ConfigMap
	if wire.Unmarshal(i.Data, &is) == nil && s.filled(&is) {
		return nil
	}
	m, err := maps.Get(ctx, rootCA, metav1.GetOptions{})
	if err != nil || s.filled(m) {
		return err
	}
	s.fill(m)
	_, err = maps.Update(ctx, m, metav1.UpdateOptions{})
	return err
}

func (s *Server) fill(m *corev1.ConfigMap) {
	m.Data = map[string]string{rootCAKey: string(s.config.CA)}
	metav1.SetMetaDataAnnotation(&m.ObjectMeta, rootcacertpublisher.DescriptionAnnotation, rootcacertpublisher.Description)
}

// filled reports whether a ConfigMap is as it should be; its description may be
// in other words.
func (s *Server) filled(m *corev1.ConfigMap) bool {
	return len(m.Data) == 1 && m.Data[rootCAKey] == string(s.config.CA) && m.Annotations[rootcacertpublisher.DescriptionAnnotation] != ""
}

// exists returns err, unless it says that the object is there already.
func exists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// ended returns err, unless it says that the object is there already or that
// its namespace is gone or ends.
func ended(err error) error {
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return exists(err)
}
