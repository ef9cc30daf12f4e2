package wire

import (
	"reflect"
	"slices"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
)

// structCodec writes the fields of a struct as encoding/json would, by name.
type structCodec struct {
	fields []structField // sorted by name
	byName map[string]int
}

type structField struct {
	name  string
	index []int
	*codec
	omitEmpty bool
	omitZero  bool
	isZero    func(reflect.Value) bool // for omitZero: the type's own word for zero, or nil
}

// structOf returns the codec of struct type t. ok is false for what Kubernetes
// types do not use: ",string", embedded pointers, two fields with one name.
func (b *builder) structOf(t reflect.Type) (*structCodec, bool) {
	s := &structCodec{byName: map[string]int{}}
	if !s.add(b, t, nil) {
		return nil, false
	}
	slices.SortFunc(s.fields, func(x, y structField) int { return strings.Compare(x.name, y.name) })
	for i, f := range s.fields {
		if _, twice := s.byName[f.name]; twice {
			return nil, false
		}
		s.byName[f.name] = i
	}
	return s, true
}

// add appends the fields of t, found at index, and those of the structs embedded in it.
func (s *structCodec) add(b *builder, t reflect.Type, index []int) bool {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		if tag == "-" || !sf.IsExported() && !sf.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		opts := strings.Split(options, ",")
		at := append(slices.Clone(index), i)
		if sf.Anonymous && name == "" {
			if sf.Type.Kind() != reflect.Struct || speaksJSON(sf.Type) || !s.add(b, sf.Type, at) {
				return false
			}
			continue
		}
		if slices.Contains(opts, "string") || !sf.IsExported() {
			return false
		}
		if name == "" {
			name = sf.Name
		}
		s.fields = append(s.fields, structField{
			name: name, index: at, codec: b.codec(sf.Type),
			omitEmpty: slices.Contains(opts, "omitempty") && canBeEmpty(sf.Type),
			omitZero:  slices.Contains(opts, "omitzero"),
			isZero:    zeroOf(sf.Type),
		})
	}
	return true
}

// canBeEmpty reports whether omitempty ever leaves out a value of type t.
// It never does so for a struct.
func canBeEmpty(t reflect.Type) bool {
	return t.Kind() != reflect.Struct && (t.Kind() != reflect.Array || t.Len() == 0)
}

type isZeroer interface{ IsZero() bool }

var isZeroerType = reflect.TypeFor[isZeroer]()

// zeroOf returns the IsZero method of t as omitzero uses it, or nil.
func zeroOf(t reflect.Type) func(reflect.Value) bool {
	switch {
	case t.Implements(isZeroerType):
		return func(v reflect.Value) bool {
			if k := v.Kind(); (k == reflect.Pointer || k == reflect.Interface) && v.IsNil() {
				return true
			}
			return v.Interface().(isZeroer).IsZero()
		}
	case reflect.PointerTo(t).Implements(isZeroerType):
		return func(v reflect.Value) bool { return addressable(v).Addr().Interface().(isZeroer).IsZero() }
	}
	return nil
}

// addressable returns v, or a copy of it that has an address.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

func (f *structField) in(v reflect.Value) reflect.Value {
	if len(f.index) == 1 {
		return v.Field(f.index[0])
	}
	for _, i := range f.index {
		v = v.Field(i)
	}
	return v
}

func (f *structField) omit(v reflect.Value) bool {
	if f.omitEmpty {
		switch v.Kind() {
		case reflect.Map, reflect.Slice:
			return v.Len() == 0
		default:
			if v.IsZero() {
				return true
			}
		}
	}
	if !f.omitZero {
		return false
	}
	if f.isZero != nil {
		return f.isZero(v)
	}
	return v.IsZero()
}

func (s *structCodec) put(e *msgpack.Encoder, v reflect.Value) error {
	n := 0
	var left uint64 // bit per field that is left out, of the first 64
	for i := range s.fields {
		if f := &s.fields[i]; f.omit(f.in(v)) {
			left |= 1 << i // none from the 65th on
		} else {
			n++
		}
	}
	if err := e.EncodeMapLen(n); err != nil {
		return err
	}
	for i := range s.fields {
		if left>>i&1 != 0 {
			continue
		}
		f := &s.fields[i]
		fv := f.in(v)
		if i >= 64 && f.omit(fv) {
			continue
		}
		if err := e.EncodeString(f.name); err != nil {
			return err
		}
		if err := f.put(e, fv); err != nil {
			return &fieldError{f.name, err}
		}
	}
	return nil
}

// take reads fields in any order; the order that put writes is the fastest.
func (s *structCodec) take(d *decoder, v reflect.Value) {
	if d.Nil() { // as JSON's null: nothing is said
		return
	}
	next := 0
	for n := d.Map(); n > 0 && d.err == nil; n-- {
		key := d.Str()
		i := next
		for i < len(s.fields) && s.fields[i].name != string(key) {
			i++
		}
		if i == len(s.fields) {
			j, ok := s.byName[string(key)]
			if !ok {
				if d.unknown != nil {
					d.unknown.add(key)
				}
				d.Skip()
				continue
			}
			i = j
		}
		next = i + 1
		f := &s.fields[i]
		if u := d.unknown; u != nil {
			u.at = append(u.at, f.name)
			f.take(d, f.in(v))
			u.at = u.at[:len(u.at)-1]
			continue
		}
		f.take(d, f.in(v))
	}
}

// fieldError says in which field of an object an error is: "spec.containers: ...".
type fieldError struct {
	name string
	err  error
}

func (e *fieldError) Error() string {
	path := e.name
	err := e.err
	for {
		in, ok := err.(*fieldError) //nolint:errorlint // the direct child only: this prints a path
		if !ok {
			return path + ": " + err.Error()
		}
		path, err = path+"."+in.name, in.err
	}
}

func (e *fieldError) Unwrap() error { return e.err }
