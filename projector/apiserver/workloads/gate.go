package workloads

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/apps"
	"k8s.io/client-go/informers/batch"
	"k8s.io/client-go/informers/core"
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

func (g *gate) core() core.Interface     { return core.New(g, "", nil) }
func (g *gate) apps() apps.Interface     { return apps.New(g, "", nil) }
func (g *gate) batch() batch.Interface   { return batch.New(g, "", nil) }
func (g *gate) policy() policy.Interface { return policy.New(g, "", nil) }

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
	return i.SharedIndexInformer.AddEventHandler(gatedHandler{h, i.gate})
}

// AddEventHandlerWithResyncPeriod implements cache.SharedInformer.
func (i gatedInformer) AddEventHandlerWithResyncPeriod(h cache.ResourceEventHandler, d time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return i.SharedIndexInformer.AddEventHandlerWithResyncPeriod(gatedHandler{h, i.gate}, d)
}

// AddEventHandlerWithOptions implements cache.SharedInformer.
func (i gatedInformer) AddEventHandlerWithOptions(h cache.ResourceEventHandler, o cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return i.SharedIndexInformer.AddEventHandlerWithOptions(gatedHandler{h, i.gate}, o)
}

type gatedHandler struct {
	cache.ResourceEventHandler
	gate *gate
}

// pass waits for the gate and reports whether it is open.
func (h gatedHandler) pass() bool {
	select {
	case <-h.gate.open:
		return true
	case <-h.gate.life.Done():
		return false
	}
}

// OnAdd implements cache.ResourceEventHandler.
func (h gatedHandler) OnAdd(o any, initial bool) {
	if h.pass() {
		h.ResourceEventHandler.OnAdd(o, initial)
	}
}

// OnUpdate implements cache.ResourceEventHandler.
func (h gatedHandler) OnUpdate(old, now any) {
	if h.pass() {
		h.ResourceEventHandler.OnUpdate(old, now)
	}
}

// OnDelete implements cache.ResourceEventHandler.
func (h gatedHandler) OnDelete(o any) {
	if h.pass() {
		h.ResourceEventHandler.OnDelete(o)
	}
}
