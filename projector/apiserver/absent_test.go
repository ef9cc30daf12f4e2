package apiserver

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// kubectl lists the CustomResourceDefinitions when a file has a kind that the
// schema does not have, and gives the file up if it cannot; `apply --prune`
// looks for these kinds before it does anything.
//
// finding B2, finding c14
func TestAbsentKindsCanBeLookedFor(t *testing.T) {
	c := newCluster(t)
	crds := c.client.CoreV1().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
	got, err := crds.Do(t.Context()).Raw()
	if err != nil || !strings.Contains(string(got), `"kind":"CustomResourceDefinitionList"`) || !strings.Contains(string(got), `"items":[]`) {
		t.Errorf("CustomResourceDefinitions: %s, %v", got, err)
	}
	_, lists, err := c.client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, l := range lists {
		for _, r := range l.APIResources {
			found = append(found, l.GroupVersion+" "+r.Kind)
		}
	}
	for _, want := range []string{"v1 Endpoints", "v1 ReplicationController", "v1 Service", "networking.k8s.io/v1 Ingress"} {
		if !slices.Contains(found, want) {
			t.Errorf("%s is not in discovery", want)
		}
	}
}

// Of an absent kind nothing is there, and nothing is taken silently.
//
// finding B2
func TestAbsentKindsHoldNothing(t *testing.T) {
	c := newCluster(t)
	services := c.client.CoreV1().Services("default")
	l, err := services.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(l.Items) != 0 || l.ResourceVersion == "" {
		t.Errorf("list %+v, %v", l, err)
	}
	if _, err := services.Get(t.Context(), "s", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get: %v", err)
	}
	if err := services.Delete(t.Context(), "s", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("delete: %v", err)
	}
	if err := c.client.CoreV1().RESTClient().Delete().Namespace("default").Resource("services").Do(t.Context()).Error(); err != nil {
		t.Errorf("delete all: %v", err)
	}
	before := c.objects.Position()
	_, err = services.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{})
	if !apierrors.IsMethodNotSupported(err) || err.Error() != "rollcall keeps no services: nothing in it would act on them; other objects are not affected" {
		t.Errorf("create: %v", err)
	}
	if after := c.objects.Position(); after != before {
		t.Errorf("the log went from %d to %d", before, after)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	initial := true
	w, err := services.Watch(ctx, metav1.ListOptions{SendInitialEvents: &initial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	e := <-w.ResultChan()
	if m, err := meta.Accessor(e.Object); err != nil || e.Type != watch.Bookmark || m.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("a watch begins with %+v, %v", e, err)
	}
}
