package wire

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// codec writes and reads the values of one type. put only reads v. take sets
// v, which is addressable; its errors stick to the decoder.
type codec struct {
	put  func(e *msgpack.Encoder, v reflect.Value) error
	take func(d *decoder, v reflect.Value)
}

// codecs holds the codec of each type that was asked for: reflect.Type → *codec.
var codecs sync.Map

// codecOf returns the codec of t. Two callers at once may both build it; the
// results are interchangeable.
func codecOf(t reflect.Type) *codec {
	if c, ok := codecs.Load(t); ok {
		return c.(*codec)
	}
	b := builder{seen: map[reflect.Type]*codec{}}
	c := b.codec(t)
	// Only now is every codec complete: a type may hold itself.
	for _, x := range b.built {
		codecs.LoadOrStore(x.t, x.c)
	}
	return c
}

type builtCodec struct {
	t reflect.Type
	c *codec
}

// builder builds the codecs of a type and of all types that it holds.
type builder struct {
	seen  map[reflect.Type]*codec
	built []builtCodec // in order
}

func (b *builder) codec(t reflect.Type) *codec {
	if c, ok := codecs.Load(t); ok {
		return c.(*codec)
	}
	if c, ok := b.seen[t]; ok {
		return c
	}
	c := new(codec)
	b.seen[t] = c
	b.built = append(b.built, builtCodec{t, c})
	if l, ok := leaves[t]; ok {
		*c = l
	} else {
		*c = b.build(t)
	}
	return c
}

var (
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// speaksJSON reports whether t has a JSON form of its own.
func speaksJSON(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonMarshaler) || p.Implements(jsonUnmarshaler) ||
		p.Implements(textMarshaler) || p.Implements(textUnmarshaler)
}

func (b *builder) build(t reflect.Type) codec {
	// A pointer has the methods of what it points to; nil and not nil are its own affair.
	if k := t.Kind(); k == reflect.Pointer {
		return pointerCodec(t, b.codec(t.Elem()))
	} else if k != reflect.Interface && speaksJSON(t) {
		return jsonCodec
	}
	switch t.Kind() {
	case reflect.String:
		return codec{putString, takeString}
	case reflect.Bool:
		return codec{putBool, takeBool}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return codec{putInt, takeInt}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return codec{putUint, takeUint}
	case reflect.Float32, reflect.Float64:
		return codec{putFloat, takeFloat}
	case reflect.Struct:
		if s, ok := b.structOf(t); ok {
			return codec{s.put, s.take}
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return codec{putBytes, takeBytes}
		}
		return sliceCodec(t, b.codec(t.Elem()))
	case reflect.Map:
		if k := t.Key(); k.Kind() == reflect.String && !speaksJSON(k) {
			return mapCodec(t, b.codec(t.Elem()))
		}
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return codec{putInterface, takeAny}
		}
		return codec{putInterface, takeNoInterface}
	}
	return jsonCodec
}

func pointerCodec(t reflect.Type, elem *codec) codec {
	size := t.Elem().Size()
	return codec{
		put: func(e *msgpack.Encoder, v reflect.Value) error {
			if v.IsNil() {
				return e.EncodeNil()
			}
			return elem.put(e, v.Elem())
		},
		take: func(d *decoder, v reflect.Value) {
			if d.Nil() {
				v.SetZero()
				return
			}
			if v.IsNil() {
				if !d.charge(1, size) {
					return
				}
				v.Set(reflect.New(t.Elem()))
			}
			elem.take(d, v.Elem())
		},
	}
}

func sliceCodec(t reflect.Type, elem *codec) codec {
	size := t.Elem().Size()
	return codec{
		put: func(e *msgpack.Encoder, v reflect.Value) error {
			if v.IsNil() {
				return e.EncodeNil()
			}
			n := v.Len()
			if err := e.EncodeArrayLen(n); err != nil {
				return err
			}
			for i := range n {
				if err := elem.put(e, v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		},
		take: func(d *decoder, v reflect.Value) {
			if d.Nil() {
				v.SetZero()
				return
			}
			n := d.Array()
			if !d.charge(n, size) {
				return
			}
			if n == 0 {
				v.Set(reflect.MakeSlice(t, 0, 0)) // not nil
				return
			}
			v.SetZero()
			v.Grow(n) // without a head beside the elements
			v.SetLen(n)
			for i := 0; i < n && d.err == nil; i++ {
				elem.take(d, v.Index(i))
			}
		},
	}
}
