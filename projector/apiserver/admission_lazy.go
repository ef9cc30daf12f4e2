package apiserver

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"

	"rollcall/events"
	"rollcall/projector/table"
)

// lazyPlugin is a plugin of admission that decides by objects of some kinds.
// While there are none it admits all, and it is made when there is the first: a
// cluster without them pays for none of its informers, caches and goroutines.
type lazyPlugin struct {
	by     []*table.Table
	plugin func() (admission.Interface, error)
}

var (
	_ admission.MutationInterface   = (*lazyPlugin)(nil)
	_ admission.ValidationInterface = (*lazyPlugin)(nil)
)

// lazily returns a plugin that decides by objects of some kinds.
func lazily(objects *table.Tables, kinds []events.Kind, make func() (admission.Interface, error)) *lazyPlugin {
	p := &lazyPlugin{plugin: sync.OnceValues(make)}
	for _, k := range kinds {
		p.by = append(p.by, objects.Of(k))
	}
	return p
}

// idle reports whether there is nothing that the plugin decides by.
func (p *lazyPlugin) idle() bool {
	for _, t := range p.by {
		if n, _ := t.Size(); n > 0 {
			return false
		}
	}
	return true
}

// decides returns the plugin if it has something to say of an operation.
func (p *lazyPlugin) decides(op admission.Operation) (admission.Interface, error) {
	if p.idle() {
		return nil, nil
	}
	made, err := p.plugin()
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if !made.Handles(op) {
		return nil, nil
	}
	return made, nil
}

// Handles implements admission.Interface.
func (p *lazyPlugin) Handles(admission.Operation) bool { return true }

// Admit implements admission.MutationInterface.
func (p *lazyPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	made, err := p.decides(a.GetOperation())
	if m, ok := made.(admission.MutationInterface); ok {
		return m.Admit(ctx, a, o)
	}
	return err
}

// Validate implements admission.ValidationInterface.
func (p *lazyPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	made, err := p.decides(a.GetOperation())
	if v, ok := made.(admission.ValidationInterface); ok {
		return v.Validate(ctx, a, o)
	}
	return err
}
