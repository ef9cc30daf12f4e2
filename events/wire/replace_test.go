package wire_test

import (
	"bytes"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events/wire"
)

// TestWith changes metadata in the bytes and in the object: both give the
// same, also where the old metadata is part of what comes before it.
func TestWith(t *testing.T) {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Finalizers: []string{"x/y"}}, BinaryData: map[string][]byte{}}
	meta, err := wire.Marshal(&m.ObjectMeta)
	if err != nil {
		t.Fatal(err)
	}
	m.BinaryData["metadata"] = meta
	data, err := wire.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := wire.Field(data, "metadata"); !bytes.Equal(got, meta) {
		t.Errorf("metadata % x, want % x", got, meta)
	}
	m.Finalizers = nil
	m.Generation = 300
	if meta, err = wire.Marshal(&m.ObjectMeta); err != nil {
		t.Fatal(err)
	}
	want, err := wire.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.With(data, "metadata", meta); err != nil || !bytes.Equal(got, want) {
		t.Errorf("% x, %v\nwant % x", got, err, want)
	}
	for _, b := range [][]byte{nil, data[:len(data)-1], []byte("text")} {
		if got, err := wire.With(b, "nothing", meta); err == nil || len(wire.Field(b, "nothing")) > 0 {
			t.Errorf("% x became % x", b, got)
		}
	}
}

// TestWithNew puts a key where Marshal would have written it.
func TestWithNew(t *testing.T) {
	m := map[string]int{}
	for i := range 20 { // over the most keys that a short head can count
		without, err := wire.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		key := string(rune('a' + i*7%20))
		m[key] = 300
		want, err := wire.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wire.With(without, key, []byte{0xcd, 1, 44}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("with %s: % x, %v\nwant % x", key, got, err, want)
		}
	}
}
