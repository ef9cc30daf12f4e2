package seal_test

import (
	"bytes"
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/events/wire"
)

func key(t testing.TB, of byte) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(bytes.Repeat([]byte{of}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func secret(values ...string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s", UID: "u", Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: `{"data":"hidden"}`, "kapp.k14s.io/original": "hidden", "team": "a"}}}
	s.Data = map[string][]byte{}
	for i, v := range values {
		s.Data[string(rune('a'+i))] = []byte(v)
	}
	return s
}

func sealed(t testing.TB, r *seal.Ring, s *corev1.Secret) *corev1.Secret {
	t.Helper()
	out, err := r.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func object(t testing.TB, s *corev1.Secret) events.Object {
	t.Helper()
	o, err := events.NewObject(events.Secret, s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A Secret that is sealed has no value in clear, is the same bytes each time, and
// opens to what it was; the one that was given is not changed.
func TestRoundTrip(t *testing.T) {
	r := seal.NewRing(key(t, 1), key(t, 2))
	was := secret("hidden", "", "hidden", "\xff\x00hidden")
	before := was.DeepCopy()
	is := sealed(t, r, was)
	o := object(t, is)
	if bytes.Contains(o.Data, []byte("hidden")) || !reflect.DeepEqual(was, before) {
		t.Errorf("%q of %v", o.Data, was)
	}
	if again := object(t, sealed(t, r, was)); !bytes.Equal(again.Data, o.Data) {
		t.Error("the same Secret has other bytes the second time")
	}
	if is.Annotations["team"] != "a" || bytes.Equal(is.Data["a"], is.Data["c"]) {
		t.Errorf("%v", is)
	}
	if f := seal.Find(o); f.Clear != 0 || !reflect.DeepEqual(f.Keys, []string{key(t, 1).ID()}) {
		t.Errorf("found %+v", f)
	}
	for _, by := range []*seal.Ring{r, seal.NewRing(key(t, 2), key(t, 1))} {
		open := is.DeepCopy()
		if err := by.Open(open); err != nil || !reflect.DeepEqual(open, was) {
			t.Errorf("%v, %v", open, err)
		}
	}
	if err := seal.NewRing(key(t, 2)).Open(is.DeepCopy()); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
	if _, err := seal.NewRing().Seal(was); err == nil {
		t.Error("sealed without a key")
	}
}

// Equal values have equal hashes under one key and no others, wherever they are.
func TestShown(t *testing.T) {
	shown := func(of byte, value string) string {
		text, ok := seal.Shown(sealed(t, seal.NewRing(key(t, of)), secret("x", value)).Data["b"])
		if !ok || len(text) != len("sealed:0123456789abcdef") {
			t.Fatal(text, ok)
		}
		return text
	}
	other, _ := seal.Shown(sealed(t, seal.NewRing(key(t, 1)), secret("v")).Data["a"])
	if shown(1, "v") != other || shown(1, "v") == shown(1, "w") || shown(1, "v") == shown(2, "v") {
		t.Error("hashes are not those of values under a key")
	}
	s := sealed(t, seal.NewRing(key(t, 1)), secret("v"))
	s.Data["clear"] = []byte("hidden")
	o := object(t, s)
	j, err := wire.ToJSON(seal.Hidden(o).Data)
	if err != nil || !strings.Contains(string(j), `"a":"`+other+`"`) || !strings.Contains(string(j), `"clear":"(not shown)"`) ||
		strings.Contains(string(j), key(t, 1).ID()) || strings.Contains(string(j), base64.StdEncoding.EncodeToString([]byte("hidden"))) {
		t.Errorf("%s, %v", j, err)
	}
	if seal.Find(o).Clear != 1 {
		t.Errorf("found %+v", seal.Find(o))
	}
	m := &corev1.Secret{}
	if err := wire.Unmarshal(seal.NewRing(key(t, 2)).Mask(o.Data), m); err != nil || string(m.Data["a"]) != other || string(m.Data["clear"]) != "hidden" {
		t.Errorf("%v, %v", m, err)
	}
	o.Kind = events.ConfigMap
	if got := seal.Hidden(o); !bytes.Equal(got.Data, o.Data) {
		t.Error("a ConfigMap has something to hide")
	}
	o.Kind, o.Data = events.Secret, []byte("hidden")
	if got := seal.Hidden(o); bytes.Contains(got.Data, o.Data) {
		t.Errorf("%q is shown of what cannot be read", got.Data)
	}
}

// A key file is read as it was written; what is none is refused, and not repeated.
func TestFile(t *testing.T) {
	f := seal.File{Keys: [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}, Lost: []string{"0123abcd"}}
	got, err := seal.ParseFile(f.Text())
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, %v", got, err)
	}
	r, err := f.Ring()
	if err != nil || !r.Has(key(t, 2).ID()) || r.Has("0123abcd") {
		t.Error(err)
	}
	if unknown, err := f.Unknown([]string{key(t, 1).ID(), "0123abcd", "ffffffff"}); err != nil || !reflect.DeepEqual(unknown, []string{"ffffffff"}) {
		t.Error(unknown, err)
	}
	for _, text := range []string{"", "# nothing\n", "hidden", base64.StdEncoding.EncodeToString([]byte("hidden")), "lost hidden", "lost 0123abcd", f.Text() + "hidden"} {
		if _, err := seal.ParseFile(text); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzOpen: whatever stands in the place of a value, it is opened, refused or left,
// and what is opened was sealed there.
func FuzzOpen(f *testing.F) {
	r := seal.NewRing(key(f, 1))
	is := sealed(f, r, secret("a value"))
	f.Add(is.Data["a"], is.Annotations[corev1.LastAppliedConfigAnnotation])
	f.Add([]byte("sealed:0123456789abcdef"), "sealed:0123456789abcdef:"+key(f, 1).ID()+":!")
	f.Fuzz(func(t *testing.T, value []byte, note string) {
		s := secret(string(value))
		s.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: note}
		_ = seal.Hidden(object(t, s))
		open := s.DeepCopy()
		if err := r.Open(open); err == nil && seal.Find(object(t, s)).Keys != nil {
			if again := sealed(t, r, open); string(value) != string(open.Data["a"]) && !bytes.Equal(again.Data["a"], value) {
				t.Errorf("%q was opened to %q, which is sealed as %q", value, open.Data["a"], again.Data["a"])
			}
		}
		open = sealed(t, r, s)
		if err := r.Open(open); err != nil || string(open.Data["a"]) != string(value) || open.Annotations[corev1.LastAppliedConfigAnnotation] != note {
			t.Errorf("%q and %q came back as %v, %v", value, note, open, err)
		}
	})
}
