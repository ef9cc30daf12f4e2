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
		if got := PathsIn(c.old, c.new, c.path); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
}
