package apiserver

import (
	"encoding/json"
	"math/rand"
	"testing"

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
		if r.bucket == bucketNone {
			continue
		}
		t.Run(string(r.kind), func(t *testing.T) {
			f := fuzzer.FuzzerFor(apitesting.FuzzerFuncs, rand.NewSource(1), legacyscheme.Codecs)
			gv := schema.GroupVersion{Group: r.group, Version: apiVersion}
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
				if !equality.Semantic.DeepEqual(want, got) {
					a, _ := json.Marshal(want)
					b, _ := json.Marshal(got)
					t.Fatalf("over JSON\n%s\nover the wire\n%s", a, b)
				}
			}
		})
	}
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
		if r.bucket == bucketNone {
			continue
		}
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
