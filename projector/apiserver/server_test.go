package apiserver

import (
	"context"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
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

// A client that asks for what is there and then for changes is told where the
// first ends, also if nothing is there.
func TestWatchOfNothing(t *testing.T) {
	c := newCluster(t)
	initial := true
	o := metav1.ListOptions{SendInitialEvents: &initial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for what, open := range map[string]func(context.Context, metav1.ListOptions) (watch.Interface, error){
		"pods": c.client.CoreV1().Pods("").Watch, "events": c.client.CoreV1().Events("").Watch} {
		w, err := open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		e := <-w.ResultChan()
		if m, err := meta.Accessor(e.Object); err != nil || e.Type != watch.Bookmark || m.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
}
