package apiserver

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A new cluster has its namespaces, and each of them its account and the
// certificate of the API.
func TestNewCluster(t *testing.T) {
	c := newCluster(t)
	namespaces, err := c.client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range namespaces.Items {
		names = append(names, n.Name)
	}
	if !slices.Equal(names, systemNamespaces) {
		t.Errorf("namespaces %v, want %v", names, systemNamespaces)
	}
	for _, ns := range names {
		if _, err := c.client.CoreV1().ServiceAccounts(ns).Get(t.Context(), defaultAccount, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
		m, err := c.client.CoreV1().ConfigMaps(ns).Get(t.Context(), rootCA, metav1.GetOptions{})
		if err != nil || m.Data[rootCAKey] != string(c.server.config.CA) {
			t.Errorf("certificate of %s: %v, %v", ns, m, err)
		}
	}
}
