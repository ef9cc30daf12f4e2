package apiserver

import (
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// Nodes whose kubelets are alive have Leases that nobody writes; one that is
// written is shown as it is.
func TestNodeLeases(t *testing.T) {
	c := newCluster(t)
	for _, name := range []string{"a", "b", "gone", "z"} {
		body, err := events.NewObject(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}})
		if err != nil {
			t.Fatal(err)
		}
		c.append(t, "node.created", body)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alive := func(n *corev1.Node, at time.Time) (time.Time, bool) { return at.Add(-time.Second), n.Name != "gone" }
	s := serve(t, Config{Log: c.log, Subjects: c.subjects, Objects: c.objects, Alive: alive, Now: now})
	leases := s.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	if _, err := leases.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := leases.Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Spec.RenewTime.Equal(&metav1.MicroTime{Time: now.Add(-time.Second)}) || *got.Spec.HolderIdentity != "a" || got.OwnerReferences[0].Kind != "Node" {
		t.Errorf("lease of a: %+v", got)
	}
	if b, err := leases.Get(t.Context(), "b", metav1.GetOptions{}); err != nil || b.Spec.RenewTime != nil {
		t.Errorf("lease of b, which is written: %+v, %v", b, err)
	}
	for _, name := range []string{"gone", "nobody"} {
		if _, err := leases.Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("lease of %s: %v, want not found", name, err)
		}
	}
	for _, test := range []struct {
		namespace string
		options   metav1.ListOptions
		want      []string
	}{
		{"", metav1.ListOptions{}, []string{"b", "a", "z"}},
		{corev1.NamespaceNodeLease, metav1.ListOptions{Limit: 1}, []string{"b", "a", "z"}},
		{corev1.NamespaceNodeLease, metav1.ListOptions{FieldSelector: "metadata.name=z"}, []string{"z"}},
		{corev1.NamespaceNodeLease, metav1.ListOptions{LabelSelector: "x=y"}, nil},
		{corev1.NamespaceDefault, metav1.ListOptions{}, nil},
	} {
		l, err := s.client.CoordinationV1().Leases(test.namespace).List(t.Context(), test.options)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, x := range l.Items {
			names = append(names, x.Name)
		}
		if !slices.Equal(names, test.want) {
			t.Errorf("leases in %q with %+v: %v, want %v", test.namespace, test.options, names, test.want)
		}
	}
}
