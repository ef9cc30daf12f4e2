package workloads

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/apps"
	"k8s.io/client-go/informers/batch"
	"k8s.io/client-go/informers/core"
	"k8s.io/client-go/informers/discovery"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/informers/policy"
	"k8s.io/client-go/tools/cache"
)

// gate is the shared informers as one controller is built on. Constructors
// expect informers that do not run yet: they add handlers before all is there
// that these need. What a running informer has to tell waits until the gate is
// open.
type gate struct {
	informers.SharedInformerFactory
	open chan struct{}
	life context.Context // of the controller: if it is not built, nobody opens
}

func (g *gate) core() core.Interface           { return core.New(g, "", nil) }
func (g *gate) apps() apps.Interface           { return apps.New(g, "", nil) }
func (g *gate) batch() batch.Interface         { return batch.New(g, "", nil) }
func (g *gate) policy() policy.Interface       { return policy.New(g, "", nil) }
func (g *gate) discovery() discovery.Interface { return discovery.New(g, "", nil) }

// InformerFor implements internalinterfaces.SharedInformerFactory.
func (g *gate) InformerFor(o runtime.Object, make internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	return gatedInformer{g.SharedInformerFactory.InformerFor(o, make), g}
}

// gatedInformer is an informer whose new handlers wait for a gate.
type gatedInformer struct {
	cache.SharedIndexInformer
	gate *gate
}

// AddEventHandler implements cache.SharedInformer.
func (i gatedInformer) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return i.SharedIndexInformer.AddEventHandler(i.gate.hold(h))
}

// AddEventHandlerWithResyncPeriod implements cache.SharedInformer.
func (i gatedInformer) AddEventHandlerWithResyncPeriod(h cache.ResourceEventHandler, d time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return i.SharedIndexInformer.AddEventHandlerWithResyncPeriod(i.gate.hold(h), d)
}

// AddEventHandlerWithOptions implements cache.SharedInformer.
func (i gatedInformer) AddEventHandlerWithOptions(h cache.ResourceEventHandler, o cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return i.SharedIndexInformer.AddEventHandlerWithOptions(i.gate.hold(h), o)
}

// hold returns a handler that waits until the gate is open.
func (g *gate) hold(h cache.ResourceEventHandler) cache.ResourceEventHandler {
	pass := func() bool {
		select {
		case <-g.open:
			return true
		case <-g.life.Done():
			return false
		}
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, initial bool) {
			if pass() {
				h.OnAdd(o, initial)
			}
		},
		UpdateFunc: func(old, now any) {
			if pass() {
				h.OnUpdate(old, now)
			}
		},
		DeleteFunc: func(o any) {
			if pass() {
				h.OnDelete(o)
			}
		},
	}
}
