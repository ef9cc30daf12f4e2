package wire_test

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"rollcall/events/wire"
)

// served are the kinds that go through the log or the API.
var served = []any{
	&corev1.Pod{}, &corev1.Node{}, &appsv1.DaemonSet{}, &appsv1.ControllerRevision{},
	&schedulingv1.PriorityClass{}, &corev1.Namespace{}, &corev1.Secret{}, &corev1.ConfigMap{},
	&corev1.Event{}, &coordinationv1.Lease{}, &appsv1.Deployment{}, &appsv1.StatefulSet{},
	&appsv1.ReplicaSet{}, &batchv1.Job{}, &batchv1.CronJob{}, &corev1.Service{},
	&corev1.ServiceAccount{}, &corev1.PersistentVolumeClaim{}, &rbacv1.ClusterRole{},
}

// quantities are zero, negative, tiny, huge, and in every notation.
var quantities = []string{"0", "1", "-5", "100m", "1500m", "64Mi", "1Gi", "1e3", "1E", "12345678901234567890", "1n", "0.1Ki", "-250m"}

// rawJSON is what API servers put into FieldsV1 and RawExtension.
var rawJSON = []string{`{}`, `{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}`, `{"b":[1,-2,2.5,1e30],"a":{"z":null,"y":"\u00e9\u0001\"","x":true}}`,
	`{"n":9007199254740993,"u":18446744073709551615,"m":-9223372036854775808}`}

func filler(seed int64) *randfill.Filler {
	f := randfill.NewWithSeed(seed).NilChance(0.35).NumElements(0, 3).MaxDepth(14).Funcs(
		func(q *resource.Quantity, c randfill.Continue) { *q = randomQuantity(c) },
		func(t *metav1.Time, c randfill.Continue) {
			*t = metav1.Time{}
			if c.Intn(4) > 0 {
				t.Time = time.Unix(c.Int63n(4e9), 0).UTC()
			}
		},
		func(t *metav1.MicroTime, c randfill.Continue) {
			*t = metav1.MicroTime{}
			if c.Intn(4) > 0 {
				t.Time = time.UnixMicro(c.Int63n(4e15)).UTC()
			}
		},
		func(d *metav1.Duration, c randfill.Continue) { d.Duration = time.Duration(c.Int63() - c.Int63()) },
		func(f *metav1.FieldsV1, c randfill.Continue) { f.SetRawBytes([]byte(rawJSON[c.Intn(len(rawJSON))])) },
		func(r *runtime.RawExtension, c randfill.Continue) {
			*r = runtime.RawExtension{}
			if c.Intn(4) > 0 {
				r.Raw = []byte(rawJSON[c.Intn(len(rawJSON))])
			}
		},
		func(x *intstr.IntOrString, c randfill.Continue) {
			if *x = intstr.FromInt32(int32(c.Uint32())); c.Bool() {
				*x = intstr.FromString(c.String(8))
			}
		},
		func(s *string, c randfill.Continue) {
			*s = c.String(0)
			switch c.Intn(8) {
			case 0:
				*s = ""
			case 1: // a message that was cut in a letter
				*s += "\xe2\x82"
			}
		},
	)
	return f
}

func randomQuantity(c randfill.Continue) resource.Quantity {
	switch c.Intn(4) {
	case 0:
		return resource.Quantity{}
	case 1:
		return *resource.NewMilliQuantity(c.Int63n(1e12)-5e11, resource.DecimalSI)
	}
	return resource.MustParse(quantities[c.Intn(len(quantities))])
}

// roundTrip returns why o, a pointer, is not after msgpack what it is after
// JSON, or nil.
func roundTrip(o any) error {
	b, err := wire.Marshal(o)
	if err != nil {
		return fmt.Errorf("marshal: %w", err)
	}
	j, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("JSON marshal: %w", err)
	}
	viaWire, viaJSON := reflect.New(reflect.TypeOf(o).Elem()).Interface(), reflect.New(reflect.TypeOf(o).Elem()).Interface()
	if err := wire.Unmarshal(b, viaWire); err != nil {
		return fmt.Errorf("unmarshal: %w", err)
	}
	if err := json.Unmarshal(j, viaJSON); err != nil {
		return fmt.Errorf("JSON unmarshal: %w", err)
	}
	canonical(reflect.ValueOf(viaWire).Elem())
	canonical(reflect.ValueOf(viaJSON).Elem())
	if !reflect.DeepEqual(viaWire, viaJSON) {
		x, _ := json.Marshal(viaWire)
		y, _ := json.Marshal(viaJSON)
		return fmt.Errorf("after msgpack:\n%s\nafter JSON:\n%s", x, y)
	}
	if again, err := wire.Marshal(o); err != nil || string(again) != string(b) {
		return fmt.Errorf("the same object gives other bytes: %x, %x, %v", b, again, err)
	}
	mine, err := wire.ToJSON(b)
	if err != nil {
		return fmt.Errorf("to JSON: %w", err)
	}
	if err := sameJSON(mine, j); err != nil {
		return err
	}
	return fromJSON(o, j, viaJSON)
}

// fromJSON returns why the JSON of an object, transcoded without its type, is another object.
func fromJSON(o any, j []byte, want any) error {
	b, err := wire.Marshal(json.RawMessage(j))
	if err != nil {
		return fmt.Errorf("from JSON: %w", err)
	}
	got := reflect.New(reflect.TypeOf(o).Elem()).Interface()
	if err := wire.Unmarshal(b, got); err != nil {
		return fmt.Errorf("unmarshal what came from JSON: %w", err)
	}
	canonical(reflect.ValueOf(got).Elem())
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("from JSON: %+v, want %+v", got, want)
	}
	return nil
}

func sameJSON(a, b []byte) error {
	x, y := numbersKept(a), numbersKept(b)
	if x == nil || !reflect.DeepEqual(x, y) {
		return fmt.Errorf("not the same JSON:\n%s\n%s", a, b)
	}
	return nil
}

// numbersKept decodes JSON with integers as their text, so that 2^53+1 is not 2^53.
func numbersKept(j []byte) any {
	d := json.NewDecoder(strings.NewReader(string(j)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return floats(v)
}

func floats(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
			return f
		}
	case []any:
		for i := range v {
			v[i] = floats(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = floats(v[k])
		}
	}
	return v
}

// canonical writes the raw JSON inside an object without spaces and with
// sorted keys, and times in UTC: JSON decodes them into the local zone. What
// is left is compared strictly: a nil slice is not an empty one.
func canonical(v reflect.Value) {
	switch x := v.Interface().(type) {
	case runtime.RawExtension:
		if x.Raw != nil {
			x.Raw, _ = json.Marshal(numbersKept(x.Raw))
			v.Set(reflect.ValueOf(x))
		}
		return
	case metav1.FieldsV1:
		if b := x.GetRawBytes(); len(b) > 0 {
			b, _ = json.Marshal(numbersKept(b))
			x.SetRawBytes(b)
			v.Set(reflect.ValueOf(x))
		}
		return
	case metav1.Time:
		v.Set(reflect.ValueOf(metav1.Time{Time: x.UTC()}))
		return
	case metav1.MicroTime:
		v.Set(reflect.ValueOf(metav1.MicroTime{Time: x.UTC()}))
		return
	case resource.Quantity:
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			canonical(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				canonical(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			canonical(v.Index(i))
		}
	}
}

func TestRandomObjectsSurvive(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	for _, o := range served {
		typ := reflect.TypeOf(o).Elem()
		t.Run(typ.Name(), func(t *testing.T) {
			for seed := range rounds {
				o := reflect.New(typ).Interface()
				filler(int64(seed)).Fill(o)
				if err := roundTrip(o); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// fuzzKind fills an object of type T from the fuzzer's seed.
func fuzzKind[T any](f *testing.F) {
	for seed := range 3 {
		f.Add(int64(seed))
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		o := new(T)
		filler(seed).Fill(o)
		if err := roundTrip(o); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzPod(f *testing.F)                { fuzzKind[corev1.Pod](f) }
func FuzzNode(f *testing.F)               { fuzzKind[corev1.Node](f) }
func FuzzDaemonSet(f *testing.F)          { fuzzKind[appsv1.DaemonSet](f) }
func FuzzControllerRevision(f *testing.F) { fuzzKind[appsv1.ControllerRevision](f) }

// FuzzServed takes the kind, too, from the fuzzer.
func FuzzServed(f *testing.F) {
	for i := range served {
		f.Add(i, rand.New(rand.NewSource(int64(i))).Int63())
	}
	f.Fuzz(func(t *testing.T, kind int, seed int64) {
		typ := reflect.TypeOf(served[uint(kind)%uint(len(served))]).Elem()
		o := reflect.New(typ).Interface()
		filler(seed).Fill(o)
		if err := roundTrip(o); err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
	})
}
