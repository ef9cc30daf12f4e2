package apiserver

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A new namespace gets what every namespace has. One that ends takes nothing
// new, and one that is not there has nothing made in it.
func TestNamespaces(t *testing.T) {
	c := newCluster(t)
	ctx := t.Context()
	accounts, err := c.client.CoreV1().ServiceAccounts("x").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer accounts.Stop()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}
	maps := c.client.CoreV1().ConfigMaps("x")
	if _, err := maps.Create(ctx, m, metav1.CreateOptions{}); !apierrors.IsNotFound(err) || err.Error() != `namespaces "x" not found` {
		t.Errorf("an object in a namespace that is not there: %v", err)
	}
	namespaces := c.client.CoreV1().Namespaces()
	if _, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := <-accounts.ResultChan(); e.Object.(*corev1.ServiceAccount).Name != defaultAccount {
		t.Errorf("the first account is %v", e.Object)
	}
	if _, err := maps.Create(ctx, m, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	if err := namespaces.Delete(ctx, "x", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	m.Name = "late"
	if _, err := maps.Create(ctx, m, metav1.CreateOptions{}); !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("an object in a namespace that ends: %v", err)
	}
	if err := namespaces.Delete(ctx, metav1.NamespaceSystem, metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("kube-system is deleted: %v", err)
	}
}
