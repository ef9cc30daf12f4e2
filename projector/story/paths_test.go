package story

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// TestPathsIn: an element of a list is named by its name, its place or a field.
func TestPathsIn(t *testing.T) {
	pod := func(names ...string) events.Object {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "u", Annotations: map[string]string{"a.b/c": "1"}},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
		for _, n := range names {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: n, Image: n + ":1", Args: []string{"x"}})
		}
		o, err := events.NewObject(events.Pod, p)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for _, c := range []struct {
		path     string
		old, new events.Object
		want     []string
	}{
		{"spec.containers", pod("a"), pod("b"), []string{"spec.containers"}},
		{"spec.containers[0].image", pod("a", "b"), pod("a", "b"), []string{"spec.containers.a.image"}},
		{"spec.containers[1].image", pod("a", "b"), pod("b", "a"), []string{"spec.containers.a.image", "spec.containers.b.image"}},
		{"spec.containers[name=b].image", pod("a", "b"), pod("a", "b"), []string{"spec.containers.b.image"}},
		{"spec.containers[image=b:1]", events.Object{}, pod("a", "b"), []string{"spec.containers.b", "spec.containers.image=b:1"}},
		{"spec.containers[b].image", pod("a", "b"), pod("a", "b"), []string{"spec.containers.b.image"}},
		{"status.conditions[0].status", pod("a"), pod("a"), []string{"status.conditions.Ready.status"}},
		{"metadata.annotations[a.b/c]", pod("a"), pod("a"), []string{"metadata.annotations.a.b/c"}},
		{"spec.containers[7].image", pod("a"), pod("a"), []string{"spec.containers.7.image"}},
		{"spec.containers[-1]", pod("a"), pod("a"), []string{"spec.containers.-1"}},
		{"spec.containers[0", pod("a"), pod("a"), []string{"spec.containers.a"}},
	} {
		if got := pathsIn(c.old, c.new, c.path); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
}

// TestFieldsIn: a path leads into an element that came or went with all that it
// has, as all have of an object that was created.
func TestFieldsIn(t *testing.T) {
	pod := func(containers ...corev1.Container) events.Object {
		o, err := events.NewObject(events.Pod, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "u"}, Spec: corev1.PodSpec{Containers: containers}})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	a := corev1.Container{Name: "a", Image: "a:1", Args: []string{"x", "y"}, Env: []corev1.EnvVar{{Name: "LEVEL", Value: "info"}}}
	b := corev1.Container{Name: "b", Image: "b:1"}
	none := events.Object{}
	for _, c := range []struct {
		path     string
		old, new events.Object
		want     []Field
	}{
		{"spec.containers[0].image", none, pod(a), []Field{{"spec.containers.a.image", "", "a:1"}}},
		{"spec.containers[a].image", none, pod(a), []Field{{"spec.containers.a.image", "", "a:1"}}},
		{"spec.containers[a].env[LEVEL].value", none, pod(a), []Field{{"spec.containers.a.env.LEVEL.value", "", "info"}}},
		{"spec.containers[a].args[1]", none, pod(a), []Field{{"spec.containers.a.args[1]", "", "y"}}},
		{"spec.containers[b].image", pod(a), pod(a, b), []Field{{"spec.containers.b.image", "", "b:1"}}},
		{"spec.containers[b].image", pod(a, b), pod(a), []Field{{"spec.containers.b.image", "b:1", ""}}},
		{"spec.containers[b].image", pod(a), pod(a), nil},
		{"spec.containers[b]", pod(a), pod(a, b), []Field{{"spec.containers.b", "", `{"image":"b:1","name":"b","resources":{}}`}}},
		{"spec.containers[a].nope", none, pod(a), nil},
	} {
		if got := FieldsIn(c.old, c.new, c.path); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.path, got, c.want)
		}
	}
}
