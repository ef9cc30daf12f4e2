package story

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/seal"
)

// No value of a Secret is ever told, nor the manifest that repeats it.
func TestSecretsAreNotTold(t *testing.T) {
	object := func(value, manifest string) events.Object {
		o, err := events.NewObject(events.Secret, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "s",
			Labels: map[string]string{"a": manifest}, Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: manifest + value}},
			Data: map[string][]byte{"password": []byte(value), manifest: []byte(value)}})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for _, c := range []struct {
		old, new events.Object
		want     string
	}{
		{events.Object{}, object("hunter2", "one"), "created"},
		{object("hunter2", "one"), object("hunter3", "one"), "data one changed, data password changed, manifest applied"},
		{object("hunter2", "one"), object("hunter2", "two"), "data one removed, data two added, manifest applied, label a one→two"},
	} {
		got := Change(c.old, c.new)
		if got != c.want || strings.Contains(got, "hunter") || strings.Contains(got, "aHVudGVy") {
			t.Errorf("told %q, want %q", got, c.want)
		}
	}
}

// Fields and lines of JSON tell of a sealed value what everybody may see of it, and
// of one in clear nothing.
func TestSealedValuesAreTold(t *testing.T) {
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	clear := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "s", UID: "u", Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "hunter2"}}, Data: map[string][]byte{"password": []byte("hunter2")}}
	sealed, err := seal.NewRing(key).Seal(clear)
	if err != nil {
		t.Fatal(err)
	}
	was, err := events.NewObject(events.Secret, clear)
	if err != nil {
		t.Fatal(err)
	}
	is, err := events.NewObject(events.Secret, sealed)
	if err != nil {
		t.Fatal(err)
	}
	shown, _ := seal.Shown(sealed.Data["password"])
	for _, f := range Fields(was, is) {
		want := Field{Path: f.Path, Old: seal.NotShown, New: shown} // the annotation repeats the password here
		if f != want {
			t.Errorf("told %+v, want %+v", f, want)
		}
	}
	for _, body := range []events.Body{was, is, events.Gone(was), events.Gone(is)} {
		e := events.Event{Type: events.ObjectType(events.Secret, events.VerbUpdated), Body: body}
		if e.Raw, err = events.Encode(e); err != nil {
			t.Fatal(err)
		}
		line := string(JSON(e))
		if strings.Contains(line, "hunter") || strings.Contains(line, "aHVudGVy") || !strings.Contains(line, `"password":"(not shown)"`) && !strings.Contains(line, `"password":"`+shown+`"`) {
			t.Errorf("told %s", line)
		}
	}
}
