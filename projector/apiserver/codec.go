package apiserver

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rollcall/events"
	"rollcall/events/wire"
)

// codec turns objects as the registries have them into those of a log and
// back: the internal type of Kubernetes on one side, the bytes of the versioned
// type on the other.
type codec struct {
	scheme  *runtime.Scheme
	stored  schema.GroupVersionKind // v1 as a rule
	secrets *secrets                // nil: the objects are not Secrets
	custom  runtime.Codec           // of custom resources, whose types are in no scheme; nil: they are
	asks    func() bool             // a webhook converts custom resources between versions
}

// kind returns the kind under which the log knows the objects.
func (c codec) kind() events.Kind {
	if c.custom != nil {
		return events.CustomKind(c.stored.Group, c.stored.Kind)
	}
	return events.Kind(c.stored.Kind)
}

// encode returns o, which is not changed and may be shared, as a log stores
// it. Equal objects give equal bytes.
func (c codec) encode(o runtime.Object) (events.Object, error) {
	if c.custom != nil {
		return c.encodeCustom(o)
	}
	v, err := c.scheme.UnsafeConvertToVersion(o, c.stored.GroupVersion())
	if err != nil {
		return events.Object{}, fmt.Errorf("convert %s: %w", c.stored.Kind, err)
	}
	// The event says the kind; the object in the log does not, whoever wrote it.
	v.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	if c.secrets != nil {
		if v, err = c.secrets.seal(v); err != nil {
			return events.Object{}, err
		}
	}
	m, ok := v.(metav1.Object)
	if !ok {
		return events.Object{}, fmt.Errorf("encode %T: it has no metadata", v)
	}
	m.SetResourceVersion("") // it is its position in the log
	m.SetSelfLink("")
	return events.NewObject(c.kind(), m)
}

// decode returns the object that data holds, at a revision, as the registries
// have it: with the defaults of fields that its writer left out, and with times
// in the local zone as those that clients send, because some validations
// compare both as values.
func (c codec) decode(data []byte, rev uint64) (runtime.Object, error) {
	if c.custom != nil {
		return c.decodeCustom(data, rev)
	}
	v, err := c.versioned(data, rev)
	if err != nil {
		return nil, err
	}
	internal := schema.GroupVersion{Group: c.stored.Group, Version: runtime.APIVersionInternal}
	o, err := c.scheme.UnsafeConvertToVersion(v, internal)
	if err != nil {
		return nil, fmt.Errorf("convert %s: %w", c.stored.Kind, err)
	}
	return o, nil
}

// versioned returns the object as clients have it, with its defaults.
func (c codec) versioned(data []byte, rev uint64) (runtime.Object, error) {
	v, err := c.scheme.New(c.stored)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", c.stored.Kind, err)
	}
	if c.secrets != nil {
		data = c.secrets.bytes(data)
	}
	if err := wire.UnmarshalIn(data, v, time.Local); err != nil {
		return nil, fmt.Errorf("decode %s: %w", c.stored.Kind, err)
	}
	if c.secrets != nil {
		if err := c.secrets.open(v); err != nil {
			return nil, err
		}
	}
	c.scheme.Default(v)
	if err := versioner.UpdateObject(v, rev); err != nil {
		return nil, fmt.Errorf("decode %s: %w", c.stored.Kind, err)
	}
	return v, nil
}
