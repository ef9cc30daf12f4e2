package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/apiserver/extensions"
	"rollcall/projector/table"
)

func init() { install.Install(legacyscheme.Scheme) }

func (i *installer) extensions() group {
	definitions, err := customresourcedefinition.NewREST(legacyscheme.Scheme, i.options)
	i.keep(err)
	if err != nil {
		return nil
	}
	definitions.AfterCreate = i.looked
	return group{"customresourcedefinitions": definitions,
		"customresourcedefinitions/status": customresourcedefinition.NewStatusREST(legacyscheme.Scheme, definitions)}
}

// lookTime is how long the answer to who creates a CustomResourceDefinition waits
// for its first conditions.
const lookTime = 5 * time.Second

// looked returns when the definition that was created has conditions. The first one
// of a cluster starts the controllers that write them, and kubectl's wait takes a
// definition without any for a broken one.
func (i *installer) looked(o runtime.Object, options *metav1.CreateOptions) {
	if dryrun.IsDryRun(options.DryRun) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	created := o.(metav1.Object).GetName()
	_ = AwaitObject(ctx, i.objects, events.CustomResourceDefinition, func(data []byte) bool { // that it takes longer is no error
		name := wire.NewCursor(wire.Field(wire.Field(data, "metadata"), "name"))
		conditions := wire.NewCursor(wire.Field(wire.Field(data, "status"), "conditions"))
		return string(name.Str()) == created && conditions.More() && !conditions.Nil()
	})
}

// serveCustom has custom resources served from the first CustomResourceDefinition on.
func (s *Server) serveCustom(front *genericapiserver.RecommendedConfig) {
	s.start(func(ctx context.Context) {
		if AwaitObject(ctx, s.config.Objects, events.CustomResourceDefinition, nil) != nil {
			return
		}
		err := s.custom.Run(ctx, extensions.Config{Front: front, Server: s.generic, Options: s.stores, Custom: customOptions{s.config.Objects, s.writes()},
			Services: s.resolver()})
		if err != nil {
			s.failed <- err
		}
	})
}

// customOptions give the registries of custom resources stores over the log.
type customOptions struct {
	objects *table.Tables
	backend backend
}

// GetRESTOptions implements generic.RESTOptionsGetter. Kubernetes puts the codec
// of the definition's versions before the one that is given here.
func (o customOptions) GetRESTOptions(gr schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	kind, _, ok := o.objects.Defined(gr.String())
	if !ok {
		return generic.RESTOptions{}, fmt.Errorf("resource %s is not defined", gr)
	}
	config := &storagebackend.ConfigForResource{GroupResource: gr}
	config.Codec = extensions.Codec
	prefix := "/" + gr.Group + "/" + gr.Resource
	decorate := func(c *storagebackend.ConfigForResource, _ string, keyOf func(runtime.Object) (string, error),
		newFunc, newList func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		s := &store{codec: codec{stored: schema.GroupVersionKind{Group: gr.Group, Kind: kind.Name()}, custom: c.Codec, asks: o.asks(gr)}, prefix: prefix + "/",
			table: o.objects.Of(kind), backend: o.backend, newFunc: newFunc, unreadable: &unreadables{}}
		l := newLazyCache(s, cacher.Config{GroupResource: gr, KeyFunc: keyOf, NewListFunc: newList, GetAttrsFunc: attrs,
			IndexerFuncs: triggers, Indexers: indexers, Codec: c.Codec})
		return l, l.destroy, nil
	}
	return options(config, decorate, prefix), nil
}

// asks returns what says whether a webhook converts the objects of a definition.
func (o customOptions) asks(gr schema.GroupResource) func() bool {
	return func() bool {
		i := o.objects.Get(events.CustomResourceDefinition, events.Key{Name: gr.String()})
		var d extensionsv1.CustomResourceDefinition
		return i != nil && wire.Unmarshal(i.Data, &d) == nil && d.Spec.Conversion != nil && d.Spec.Conversion.Strategy == extensionsv1.WebhookConverter
	}
}

// notConverted is why an object that can be read is not to be had in a version: the
// webhook that converts it has not. A kube-apiserver answers so, and a list
// without the object would say that there is none.
type notConverted struct{ error }

func isNotConverted(err error) bool {
	var is notConverted
	return errors.As(err, &is)
}

func (c codec) encodeCustom(o runtime.Object) (events.Object, error) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return events.Object{}, fmt.Errorf("encode %T: it is no custom object", o)
	}
	var b bytes.Buffer
	if err := c.custom.Encode(extensions.Bare(u), &b); err != nil {
		return events.Object{}, fmt.Errorf("encode %s: %w", c.stored.Kind, err)
	}
	return events.Object{Ref: events.RefFor(c.kind(), u), Data: b.Bytes()}, nil
}

func (c codec) decodeCustom(data []byte, rev uint64) (runtime.Object, error) {
	o, _, err := c.custom.Decode(data, nil, nil)
	if err != nil {
		if _, _, bad := extensions.Codec.Decode(data, nil, nil); bad == nil && c.asks() {
			return nil, notConverted{err}
		}
		return nil, fmt.Errorf("decode %s: %w", c.stored.Kind, err)
	}
	return o, versioner.UpdateObject(o, rev)
}
