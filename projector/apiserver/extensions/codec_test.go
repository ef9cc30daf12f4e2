package extensions

import (
	"bytes"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Whatever a client can send as a custom object is written into the log and read
// again as it was: integers of 64 bits, floats, null, what is empty.
func FuzzCodec(f *testing.F) {
	for _, spec := range []string{
		`{"int":1,"big":9223372036854775807,"low":-9223372036854775808,"float":0.5,"whole":2.0,"huge":1e300,"more":18446744073709551616}`,
		`{"null":null,"map":{},"list":[],"text":"","yes":true,"deep":[[{"a":[null,0,-1]}]]}`,
		`{"unicode":"\u00e9\ud83d\ude00","quoted":"\"\\/","key with.dots/and-more":"x"}`,
	} {
		f.Add([]byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","resourceVersion":"7"},"spec":` + spec + `}`))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		o := &unstructured.Unstructured{}
		if o.UnmarshalJSON(sent) != nil || o.IsList() {
			t.Skip("no object")
		}
		was := o.DeepCopy()
		var first, again bytes.Buffer
		if err := Codec.Encode(o, &first); err != nil {
			t.Skip("what JSON cannot hold")
		}
		read, _, err := Codec.Decode(first.Bytes(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := read.(*unstructured.Unstructured).Object; !reflect.DeepEqual(got, was.Object) {
			t.Errorf("read as %#v, want %#v", got, was.Object)
		}
		if err := Codec.Encode(read, &again); err != nil || !bytes.Equal(first.Bytes(), again.Bytes()) {
			t.Errorf("written again as %x, want %x (%v)", again.Bytes(), first.Bytes(), err)
		}
		if bare := Bare(o); bare.GetResourceVersion() != "" || !reflect.DeepEqual(o.Object, was.Object) {
			t.Errorf("bare it is %v, and was changed to %v", bare.Object, o.Object)
		}
	})
}
