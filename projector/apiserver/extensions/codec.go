package extensions

import (
	"fmt"
	"io"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rollcall/events/wire"
)

// Codec writes custom objects as a log holds them, and reads them: msgpack of
// what their JSON says, with the version that they are stored at. Numbers are
// what they were, integers as integers of 64 bits.
var Codec runtime.Codec = codec{}

type codec struct{}

// Identifier implements runtime.Encoder.
func (codec) Identifier() runtime.Identifier { return "rollcall" }

// Encode implements runtime.Encoder.
func (codec) Encode(o runtime.Object, w io.Writer) error {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("encode %T: it is no custom object", o)
	}
	b, err := wire.Marshal(u.Object)
	if err != nil {
		return fmt.Errorf("encode %s: %w", u.GroupVersionKind(), err)
	}
	_, err = w.Write(b)
	return err
}

// Bare returns a custom object, which may be shared, without its resourceVersion:
// that is its position, and no part of an object in a log.
func Bare(o *unstructured.Unstructured) *unstructured.Unstructured {
	meta, ok := o.Object["metadata"].(map[string]any)
	if !ok {
		return o
	}
	bare, meta := maps.Clone(o.Object), maps.Clone(meta)
	delete(meta, "resourceVersion")
	delete(meta, "selfLink")
	bare["metadata"] = meta
	return &unstructured.Unstructured{Object: bare}
}

// Decode implements runtime.Decoder.
func (codec) Decode(data []byte, _ *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	var content any
	if err := wire.Unmarshal(data, &content); err != nil {
		return nil, nil, err
	}
	fields, ok := content.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("decode %T: it is no object", content)
	}
	u, ok := into.(*unstructured.Unstructured)
	if !ok {
		u = &unstructured.Unstructured{}
	}
	u.Object = fields
	kind := u.GroupVersionKind()
	if kind.Kind == "" {
		return nil, &kind, runtime.NewMissingKindErr("the object in the log has none")
	}
	return u, &kind, nil
}
