package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// leaves are the types whose JSON form is not their Go form and which are
// frequent. Any other type with a JSON form of its own, FieldsV1 and
// RawExtension among them, goes through that form (jsonCodec).
var leaves = map[reflect.Type]codec{
	reflect.TypeFor[resource.Quantity]():  {putQuantity, takeQuantity},
	reflect.TypeFor[Raw]():                {putRaw, takeRaw},
	reflect.TypeFor[time.Time]():          {putNano, takeNano},
	reflect.TypeFor[metav1.Time]():        {putTime, takeTime},
	reflect.TypeFor[metav1.MicroTime]():   {putMicroTime, takeMicroTime},
	reflect.TypeFor[metav1.Duration]():    {putDuration, takeDuration},
	reflect.TypeFor[intstr.IntOrString](): {putIntOrString, takeIntOrString},
}

// valid returns s with each byte that is not UTF-8 replaced, as in JSON: a
// kubelet cuts messages in the middle of a letter.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune { return r }, s)
}

func putString(e *msgpack.Encoder, v reflect.Value) error { return e.EncodeString(valid(v.String())) }
func putBool(e *msgpack.Encoder, v reflect.Value) error   { return e.EncodeBool(v.Bool()) }
func putInt(e *msgpack.Encoder, v reflect.Value) error    { return e.EncodeInt(v.Int()) }
func putUint(e *msgpack.Encoder, v reflect.Value) error   { return e.EncodeUint(v.Uint()) }

func putFloat(e *msgpack.Encoder, v reflect.Value) error {
	f := v.Float()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Errorf("%v is no JSON number", f)
	}
	if v.Kind() == reflect.Float32 {
		return e.EncodeFloat32(float32(f))
	}
	return e.EncodeFloat64(f)
}

// A nil leaves a scalar as it is, like JSON's null.

func takeString(d *decoder, v reflect.Value) {
	if s := d.Str(); s != nil {
		v.SetString(d.string(s))
	}
}

func takeBool(d *decoder, v reflect.Value) {
	if !d.Nil() {
		v.SetBool(d.Bool())
	}
}

func takeInt(d *decoder, v reflect.Value) {
	if d.Nil() {
		return
	}
	n := d.Int()
	if v.OverflowInt(n) {
		d.fail(fmt.Sprintf("%d does not fit %s", n, v.Kind()))
		return
	}
	v.SetInt(n)
}

func takeUint(d *decoder, v reflect.Value) {
	if d.Nil() {
		return
	}
	n := d.unsigned()
	if v.OverflowUint(n) {
		d.fail(fmt.Sprintf("%d does not fit %s", n, v.Kind()))
		return
	}
	v.SetUint(n)
}

func takeFloat(d *decoder, v reflect.Value) {
	if !d.Nil() {
		v.SetFloat(d.float())
	}
}

func putBytes(e *msgpack.Encoder, v reflect.Value) error { return e.EncodeBytes(v.Bytes()) }

// takeBytes reads a binary, or the base64 string that bytes are in JSON.
func takeBytes(d *decoder, v reflect.Value) {
	switch {
	case d.Nil():
		v.SetZero()
	case isStr(d.peek()):
		s := d.Str()
		b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
		n, err := base64.StdEncoding.Decode(b, s)
		if err != nil {
			d.fail("bytes: " + err.Error())
			return
		}
		v.SetBytes(b[:n])
	default:
		v.SetBytes(append([]byte{}, d.Str()...))
	}
}

func putQuantity(e *msgpack.Encoder, v reflect.Value) error {
	// The copy keeps String from caching its result in the caller's object.
	q := v.Interface().(resource.Quantity)
	return e.EncodeString(q.String())
}

func takeQuantity(d *decoder, v reflect.Value) {
	if d.Nil() {
		v.SetZero()
		return
	}
	q, err := resource.ParseQuantity(d.numberOrString())
	if err != nil {
		d.fail("quantity: " + err.Error())
		return
	}
	*v.Addr().Interface().(*resource.Quantity) = q
}

// Raw is one value that is msgpack already; none at all is nil.
type Raw []byte

func putRaw(e *msgpack.Encoder, v reflect.Value) error {
	if v.Len() == 0 {
		return e.EncodeNil()
	}
	return e.Encode(msgpack.RawMessage(v.Bytes()))
}

func takeRaw(d *decoder, v reflect.Value) {
	b := d.Value()
	if !d.share {
		b = slices.Clone(b)
	}
	v.SetBytes(b[:len(b):len(b)])
}

// putNano writes a time to the nanosecond.
func putNano(e *msgpack.Encoder, v reflect.Value) error {
	t := v.Interface().(time.Time)
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return fmt.Errorf("the year %d cannot be written in RFC 3339", y)
	}
	return putInstant(e, t, time.RFC3339Nano)
}

func takeNano(d *decoder, v reflect.Value) {
	*v.Addr().Interface().(*time.Time) = d.Time().In(d.zone)
}

func putTime(e *msgpack.Encoder, v reflect.Value) error {
	return putInstant(e, addressable(v).Addr().Interface().(*metav1.Time).Time, time.RFC3339) // boxed as it is, it would be copied
}

func putMicroTime(e *msgpack.Encoder, v reflect.Value) error {
	return putInstant(e, v.Interface().(metav1.MicroTime).Time, metav1.RFC3339Micro)
}

func putInstant(e *msgpack.Encoder, t time.Time, layout string) error {
	if t.IsZero() {
		return e.EncodeNil()
	}
	return e.EncodeString(t.UTC().Format(layout))
}

func takeTime(d *decoder, v reflect.Value) {
	v.Addr().Interface().(*metav1.Time).Time = d.instant(time.RFC3339)
}

func takeMicroTime(d *decoder, v reflect.Value) {
	v.Addr().Interface().(*metav1.MicroTime).Time = d.instant(metav1.RFC3339Micro)
}

func (d *decoder) instant(layout string) time.Time {
	if d.Nil() {
		return time.Time{}
	}
	t, err := time.Parse(layout, string(d.Str()))
	if err != nil {
		d.fail(err.Error())
		return time.Time{}
	}
	return t.In(d.zone)
}

func putDuration(e *msgpack.Encoder, v reflect.Value) error {
	return e.EncodeString(v.Interface().(metav1.Duration).Duration.String())
}

func takeDuration(d *decoder, v reflect.Value) {
	if d.Nil() {
		return
	}
	x, err := time.ParseDuration(string(d.Str()))
	if err != nil {
		d.fail(err.Error())
		return
	}
	v.Addr().Interface().(*metav1.Duration).Duration = x
}

func putIntOrString(e *msgpack.Encoder, v reflect.Value) error {
	switch x := v.Interface().(intstr.IntOrString); x.Type {
	case intstr.Int:
		return e.EncodeInt(int64(x.IntVal))
	case intstr.String:
		return e.EncodeString(valid(x.StrVal))
	default:
		return fmt.Errorf("neither a number nor a string: type %d", x.Type)
	}
}

func takeIntOrString(d *decoder, v reflect.Value) {
	x := v.Addr().Interface().(*intstr.IntOrString)
	if isStr(d.peek()) {
		*x = intstr.FromString(string(d.Str()))
		return
	}
	n := d.Int()
	if n != int64(int32(n)) {
		d.fail(fmt.Sprintf("%d does not fit int32", n))
		return
	}
	*x = intstr.FromInt32(int32(n))
}

// jsonCodec writes what the type's own JSON form says, as a msgpack value.
var jsonCodec = codec{
	put: func(e *msgpack.Encoder, v reflect.Value) error {
		j, err := json.Marshal(addressable(v).Addr().Interface())
		if err != nil {
			return err
		}
		return putJSON(e, j)
	},
	take: func(d *decoder, v reflect.Value) {
		raw := d.Value()
		if d.err != nil {
			return
		}
		j, err := ToJSON(raw)
		if err == nil {
			err = json.Unmarshal(j, v.Addr().Interface())
		}
		if err != nil {
			d.fail(err.Error())
		}
	},
}
