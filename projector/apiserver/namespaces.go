package apiserver

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/controlplane/controller/systemnamespaces"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// What every namespace has, as in any cluster.
const (
	defaultAccount = "default"
	rootCA         = rootcacertpublisher.RootCACertConfigMapName
)

// namespaceInformers inform of namespaces, and of their default accounts and
// their certificates: of no other account and no other ConfigMap, because the
// tables hold them already.
func namespaceInformers(objects *table.Tables) informers.SharedInformerFactory {
	f := informers.NewSharedInformerFactory(nil, 0)
	inform := func(o runtime.Object, kind events.Kind, name string) {
		named := func(data []byte) bool {
			c := wire.NewCursor(wire.Field(wire.Field(data, "metadata"), "name"))
			return name == "" || c.More() && string(c.Str()) == name
		}
		f.InformerFor(o, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
			return cache.NewSharedIndexInformer(selectionOf(objects, kind, named), o, 0, cache.Indexers{})
		})
	}
	inform(&corev1.Namespace{}, events.Namespace, "")
	inform(&corev1.ServiceAccount{}, events.ServiceAccount, defaultAccount)
	inform(&corev1.ConfigMap{}, events.ConfigMap, rootCA)
	return f
}

// keepNamespaces runs the controllers of Kubernetes that give every namespace
// its account and the certificate of the API, and make the system's namespaces
// again when they are gone.
func (s *Server) keepNamespaces(ctx context.Context) error {
	f := namespaceInformers(s.config.Objects)
	core := f.Core().V1()
	accounts, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(), s.client,
		serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return fmt.Errorf("make the controller of accounts: %w", err)
	}
	certificates, err := rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), s.client, s.config.CA)
	if err != nil {
		return fmt.Errorf("make the controller of certificates: %w", err)
	}
	// Kubernetes looks once a minute whether a system's namespace is gone.
	again := cache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) {
		if n, ok := o.(*corev1.Namespace); ok && slices.Contains(systemNamespaces, n.Name) {
			if err := s.makeNamespace(s.life, n.Name); err != nil && s.life.Err() == nil {
				klog.ErrorS(err, "make a namespace again")
			}
		}
	}}
	handles, err := core.Namespaces().Informer().AddEventHandler(again)
	if err != nil {
		return fmt.Errorf("watch namespaces: %w", err)
	}
	f.StartWithContext(s.life)
	s.start(func(ctx context.Context) {
		<-ctx.Done()
		f.Shutdown()
	})
	f.WaitForCacheSyncWithContext(ctx)
	cache.WaitFor(ctx, "", handles.HasSyncedChecker()) // without the pauses in which the controllers look for it
	s.start(func(ctx context.Context) { accounts.Run(ctx, 1) })
	s.start(func(ctx context.Context) {
		systemnamespaces.NewController(systemNamespaces, s.client, core.Namespaces()).Run(ctx.Done())
	})
	if s.config.Listener != nil { // an API without a port has no certificate
		s.start(func(ctx context.Context) { certificates.Run(ctx, 1) })
	}
	return nil
}

// How long the API waits until it says that it is ready, and how often it looks.
const (
	furnishWait = 5 * time.Second
	furnishLook = 5 * time.Millisecond
)

// awaitFurnished returns when the system's namespaces have what every namespace
// has, or when that takes too long: who makes pods there then waits for it.
func (s *Server) awaitFurnished(ctx context.Context) {
	t := s.config.Objects
	_ = wait.PollUntilContextTimeout(ctx, furnishLook, furnishWait, true, func(context.Context) (bool, error) {
		for _, ns := range systemNamespaces {
			i := t.Of(events.Namespace).At(ns)
			if i == nil || namespacePhase(i.Data) == corev1.NamespaceTerminating {
				continue
			}
			if t.Of(events.ServiceAccount).At(ns+"/"+defaultAccount) == nil || s.config.Listener != nil && t.Of(events.ConfigMap).At(ns+"/"+rootCA) == nil {
				return false, nil
			}
		}
		return true, nil
	})
}
