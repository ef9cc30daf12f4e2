package apiserver

import (
	"bytes"
	"encoding/json"
	"math/rand"
	"reflect"
	"testing"

	extensionsfuzzer "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	apitesting "k8s.io/kubernetes/pkg/api/testing"

	"rollcall/events/seal"
	"rollcall/events/wire"
)

// Random objects of every kind that is served survive the wire, and are equal
// to what survives JSON.
func TestKindsSurviveTheWire(t *testing.T) {
	const objects = 50
	for _, r := range served {
		t.Run(string(r.kind), func(t *testing.T) {
			f := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(apitesting.FuzzerFuncs, extensionsfuzzer.Funcs), rand.NewSource(1), legacyscheme.Codecs)
			gv := r.gvk().GroupVersion()
			for range objects {
				internal, err := legacyscheme.Scheme.New(schema.GroupVersion{Group: r.group, Version: runtime.APIVersionInternal}.WithKind(string(r.kind)))
				if err != nil {
					t.Fatal(err)
				}
				f.Fill(internal)
				v1, err := legacyscheme.Scheme.ConvertToVersion(internal, gv)
				if err != nil {
					t.Fatal(err)
				}
				want, got := survives(t, v1, overJSON), survives(t, v1, overWire)
				if a, b := asJSON(t, want), asJSON(t, got); !equality.Semantic.DeepEqual(want, got) && !reflect.DeepEqual(values(t, a), values(t, b)) {
					t.Fatalf("over JSON\n%s\nover the wire\n%s", a, b)
				}
			}
		})
	}
}

func asJSON(t *testing.T, o runtime.Object) []byte {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// values returns what JSON says, however it writes it: some fields are raw JSON.
func values(t *testing.T, data []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func overJSON(o, into runtime.Object) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func overWire(o, into runtime.Object) error {
	data, err := wire.Marshal(o)
	if err != nil {
		return err
	}
	return wire.Unmarshal(data, into)
}

func survives(t *testing.T, o runtime.Object, over func(o, into runtime.Object) error) runtime.Object {
	t.Helper()
	into, err := legacyscheme.Scheme.New(o.GetObjectKind().GroupVersionKind())
	if err != nil {
		t.Fatal(err)
	}
	if err := over(o, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// An object that is decoded and encoded again has the bytes that it had: an
// update which changes nothing is seen to change nothing.
func TestCodecIsStable(t *testing.T) {
	for _, r := range served {
		c := codec{scheme: legacyscheme.Scheme, stored: r.gvk()}
		if r.kind == "Secret" {
			c.secrets = &secrets{ring: seal.NewRing(testKey(t))}
		}
		o, err := legacyscheme.Scheme.New(r.gvk())
		if err != nil {
			t.Fatal(err)
		}
		o.(metav1.Object).SetName("x")
		first, err := wire.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var last string
		for range 2 {
			decoded, err := c.decode(first, 7)
			if err != nil {
				t.Fatal(err)
			}
			if v := decoded.(metav1.Object).GetResourceVersion(); v != "7" {
				t.Errorf("%s: resourceVersion %q", string(r.kind), v)
			}
			body, err := c.encode(decoded)
			if err != nil {
				t.Fatal(err)
			}
			if last != "" && string(body.Data) != last {
				t.Errorf("%s: %x, then %x", string(r.kind), last, body.Data)
			}
			first, last = body.Data, string(body.Data)
		}
	}
}
