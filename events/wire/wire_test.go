package wire_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events/wire"
)

func TestRealObjectsSurvive(t *testing.T) {
	for _, o := range []any{fluentd(t), revision(t)} {
		if err := roundTrip(o); err != nil {
			t.Error(err)
		}
	}
}

// TestOtherReaders: a plain msgpack reader that knows no schema sees what JSON
// would show it, also inside ControllerRevision.data.
func TestOtherReaders(t *testing.T) {
	r := revision(t)
	b, err := wire.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := msgpack.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	at := any(got)
	for _, k := range []string{"data", "spec", "template", "metadata", "labels", "app.kubernetes.io/name"} {
		m, ok := at.(map[string]any)
		if !ok {
			t.Fatalf("%s: %T is no map", k, at)
		}
		at = m[k]
	}
	if at != "fluentd" {
		t.Errorf("got %v", at)
	}
}

// TestForms writes down how each type looks in the log.
func TestForms(t *testing.T) {
	zero := resource.MustParse("0")
	day := metav1.NewTime(time.Date(2026, 3, 1, 10, 0, 0, 999, time.FixedZone("", 3600)))
	for _, c := range []struct {
		name string
		v    any
		want any
	}{
		{"quantity", &corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("0.5")}},
			fields{"limits": fields{"cpu": "500m"}}},
		{"pointer to a zero quantity", &corev1.EmptyDirVolumeSource{SizeLimit: &zero}, fields{"sizeLimit": "0"}},
		{"pointer to the zero value", &corev1.EmptyDirVolumeSource{SizeLimit: &resource.Quantity{}}, fields{"sizeLimit": "0"}},
		{"time", &corev1.PodStatus{StartTime: &day}, fields{"startTime": "2026-03-01T09:00:00Z"}},
		{"pointer to a zero time", &corev1.PodStatus{StartTime: &metav1.Time{}}, fields{"startTime": nil}},
		{"zero time, omitempty", &metav1.ObjectMeta{}, fields{}},
		{"zero time", &corev1.PodCondition{Type: "Ready"}, fields{"type": "Ready", "status": "", "lastProbeTime": nil, "lastTransitionTime": nil}},
		{"micro time", &metav1.MicroTime{Time: day.Add(time.Microsecond)}, "2026-03-01T09:00:00.000001Z"},
		{"duration", &metav1.Duration{Duration: 90 * time.Second}, "1m30s"},
		{"number", &appsv1.RollingUpdateDaemonSet{MaxSurge: new(intstr.FromInt32(3))}, fields{"maxSurge": int8(3)}},
		{"percent", &appsv1.RollingUpdateDaemonSet{MaxSurge: new(intstr.FromString("3%"))}, fields{"maxSurge": "3%"}},
		{"bytes", &corev1.Secret{Data: map[string][]byte{"a": {0xff, 0}, "b": nil, "c": {}}},
			fields{"metadata": fields{}, "data": fields{"a": []byte{0xff, 0}, "b": nil, "c": []byte{}}}},
		{"inline", &corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}},
			fields{"name": "v", "hostPath": fields{"path": "/"}}},
		{"inline type", &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}},
			fields{"kind": "Pod", "apiVersion": "v1", "metadata": fields{}, "spec": fields{"containers": nil}, "status": fields{}}},
		{"empty and nil", &corev1.PodSpec{Containers: []corev1.Container{}, Volumes: []corev1.Volume{}, NodeSelector: map[string]string{}},
			fields{"containers": []any{}}},
		{"fields", &metav1.ManagedFieldsEntry{FieldsV1: metav1.NewFieldsV1(` {"f:b": {}, "f:a": {".": {}}} `)},
			fields{"fieldsV1": fields{"f:a": fields{".": fields{}}, "f:b": fields{}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := wire.Marshal(c.v)
			if err != nil {
				t.Fatal(err)
			}
			var got any
			if err := msgpack.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
}

type fields = map[string]any

// TestMarshalOnlyReads: a Quantity keeps its text once it was printed, which
// would be a race between readers of one object.
func TestMarshalOnlyReads(t *testing.T) {
	o := &corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": *resource.NewMilliQuantity(1500, resource.DecimalSI)}}
	p := &corev1.EmptyDirVolumeSource{SizeLimit: resource.NewQuantity(5<<20, resource.BinarySI)}
	before, alike := o.DeepCopy(), p.DeepCopy()
	for _, v := range []any{o, p} {
		if _, err := wire.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(o, before) || !reflect.DeepEqual(p, alike) {
		t.Error("Marshal changed the object")
	}
}

// TestSortedByName: fields, too, so that FromJSON gives the bytes of Marshal.
func TestSortedByName(t *testing.T) {
	p := fluentd(t)
	want, err := wire.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Marshal(json.RawMessage(j))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for _, c := range []struct {
		name, json, want string
		into             any
	}{
		{"text for a number", `{"spec":{"priority":"high"}}`, "not an integer at byte", new(corev1.Pod)},
		{"number for a text", `{"spec":{"nodeName":7}}`, "not a string at byte", new(corev1.Pod)},
		{"list for a map", `{"spec":[]}`, "not a map at byte", new(corev1.Pod)},
		{"map for a list", `{"spec":{"containers":{"a":1}}}`, "not an array at byte", new(corev1.Pod)},
		{"fraction", `{"spec":{"priority":1.5}}`, "not an integer at byte", new(corev1.Pod)},
		{"too large", `{"spec":{"priority":3000000000}}`, "3000000000 does not fit int32 at byte", new(corev1.Pod)},
		{"port too large", `{"spec":{"ports":[{"targetPort":3000000000}]}}`, "3000000000 does not fit int32 at byte", new(corev1.Service)},
		{"quantity", `{"spec":{"overhead":{"cpu":"many"}}}`, "quantity: quantities must match", new(corev1.Pod)},
		{"time", `{"status":{"startTime":"noon"}}`, `cannot parse "noon"`, new(corev1.Pod)},
		{"base64", `{"data":{"a":"?"}}`, "illegal base64", new(corev1.Secret)},
		{"no pointer", `{}`, "no pointer", corev1.Pod{}},
		{"nil pointer", `{}`, "no pointer", (*corev1.Pod)(nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := wire.Marshal(json.RawMessage(c.json))
			if err != nil {
				t.Fatal(err)
			}
			if err := wire.Unmarshal(b, c.into); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if err := wire.Unmarshal([]byte{0x80, 0x80}, new(corev1.Pod)); err == nil || !strings.Contains(err.Error(), "another value follows at byte 1") {
		t.Errorf("two values: %v", err)
	}
}

func TestUnmarshalIn(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b, err := wire.Marshal(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(at)}})
	if err != nil {
		t.Fatal(err)
	}
	zone := time.FixedZone("east", 3600)
	var got corev1.Pod
	if err := wire.UnmarshalIn(b, &got, zone); err != nil || got.CreationTimestamp.Time != at.In(zone) {
		t.Errorf("got %v, %v, want %v", got.CreationTimestamp, err, at.In(zone))
	}
}

// TestUnmarshalIsTolerant: fields of a newer Kubernetes, fields in any order,
// nil for anything, a number for a quantity.
func TestUnmarshalIsTolerant(t *testing.T) {
	b, err := wire.Marshal(json.RawMessage(`{"zzz":[{}],"spec":{"aaa":1,"nodeName":"n","overhead":{"cpu":2,"memory":0.5},
		"priority":null,"containers":null,"securityContext":null},"metadata":null,"status":{"message":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", Overhead: corev1.ResourceList{
		"cpu": resource.MustParse("2"), "memory": resource.MustParse("0.5")}}}
	var got corev1.Pod
	if err := wire.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	// z before a, as another writer may do it.
	var order corev1.Pod
	if err := wire.Unmarshal(unhex(t, "82 a4 73706563 81 a8 6e6f64654e616d65 a1 6e a8 6d65746164617461 81 a4 6e616d65 a1 61"), &order); err != nil ||
		order.Name != "a" || order.Spec.NodeName != "n" {
		t.Errorf("got %+v, %v", order, err)
	}
}

func TestMarshalRefuses(t *testing.T) {
	bad := revision(t)
	bad.Data.Raw = []byte(`{"a":`)
	for _, c := range []struct {
		v    any
		want string
	}{
		{bad, "write *v1.ControllerRevision: data: "},
		{&corev1.ServicePort{TargetPort: intstr.IntOrString{Type: 7}}, "targetPort: neither a number nor a string: type 7"},
		{make(chan int), "unsupported type"},
	} {
		if _, err := wire.Marshal(c.v); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if b, err := wire.Marshal(nil); err != nil || string(b) != "\xc0" {
		t.Errorf("nil: %x, %v", b, err)
	}
}
