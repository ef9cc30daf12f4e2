package story

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
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
