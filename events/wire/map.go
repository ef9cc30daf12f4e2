package wire

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

var stringMap = reflect.TypeFor[map[string]string]()

// mapCodec is for maps whose keys are strings. Keys are written sorted.
func mapCodec(t reflect.Type, elem *codec) codec {
	c := codec{
		put:  func(e *msgpack.Encoder, v reflect.Value) error { return putMap(e, v, elem) },
		take: func(d *decoder, v reflect.Value) { takeMap(d, v, t, elem) },
	}
	if t == stringMap { // labels and annotations
		c.put = putStringMap
		c.take = takeStringMap
	}
	return c
}

type pair struct {
	key   string
	value reflect.Value
}

func putMap(e *msgpack.Encoder, v reflect.Value, elem *codec) error {
	if v.IsNil() {
		return e.EncodeNil()
	}
	pairs := make([]pair, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		pairs = append(pairs, pair{valid(it.Key().String()), it.Value()})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	if err := e.EncodeMapLen(len(pairs)); err != nil {
		return err
	}
	for _, p := range pairs {
		if err := e.EncodeString(p.key); err != nil {
			return err
		}
		if err := elem.put(e, p.value); err != nil {
			return err
		}
	}
	return nil
}

// mapEntries is how many entries' room a Go map of n entries takes at most: it
// is half empty when it has just grown, and has 8 at least, beside its header.
func mapEntries(n int) int { return max(3*n, 8) + 2 }

func takeMap(d *decoder, v reflect.Value, t reflect.Type, elem *codec) {
	if d.Nil() {
		v.SetZero()
		return
	}
	n := d.Map()
	if !d.charge(mapEntries(n), t.Key().Size()+t.Elem().Size()) {
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(t, n))
	}
	key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
	for i := 0; i < n && d.err == nil; i++ {
		key.SetString(d.string(d.Str()))
		value.SetZero()
		elem.take(d, value)
		v.SetMapIndex(key, value)
	}
}

func putStringMap(e *msgpack.Encoder, v reflect.Value) error {
	m := v.Interface().(map[string]string)
	if m == nil {
		return e.EncodeNil()
	}
	if err := e.EncodeMapLen(len(m)); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if err := e.EncodeString(valid(k)); err != nil {
			return err
		}
		if err := e.EncodeString(valid(m[k])); err != nil {
			return err
		}
	}
	return nil
}

func takeStringMap(d *decoder, v reflect.Value) {
	if d.Nil() {
		v.SetZero()
		return
	}
	n := d.Map()
	if !d.charge(mapEntries(n), 2*stringMap.Key().Size()) {
		return
	}
	m := v.Interface().(map[string]string)
	if m == nil {
		m = make(map[string]string, n)
		v.Set(reflect.ValueOf(m))
	}
	for i := 0; i < n && d.err == nil; i++ {
		k := d.string(d.Str())
		m[k] = d.string(d.Str())
	}
}
