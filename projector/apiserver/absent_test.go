package apiserver

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// kubectl lists the CustomResourceDefinitions when a file has a kind that the
// schema does not have, and gives the file up if it cannot.
//
// finding B2, finding c14
func TestAbsentKindsCanBeLookedFor(t *testing.T) {
	c := newCluster(t)
	crds := c.client.CoreV1().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
	got, err := crds.Do(t.Context()).Raw()
	if err != nil || !strings.Contains(string(got), `"kind":"CustomResourceDefinitionList"`) || !strings.Contains(string(got), `"items":[]`) {
		t.Errorf("CustomResourceDefinitions: %s, %v", got, err)
	}
}

// Of an absent kind nothing is there, and nothing is taken silently.
//
// finding B2
func TestAbsentKindsHoldNothing(t *testing.T) {
	c := newCluster(t)
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	crds := c.client.CoreV1().RESTClient()
	if err := crds.Get().AbsPath(path, "s").Do(t.Context()).Error(); !apierrors.IsNotFound(err) {
		t.Errorf("get: %v", err)
	}
	if err := crds.Delete().AbsPath(path, "s").Do(t.Context()).Error(); !apierrors.IsNotFound(err) {
		t.Errorf("delete: %v", err)
	}
	if err := crds.Delete().AbsPath(path).Do(t.Context()).Error(); err != nil {
		t.Errorf("delete all: %v", err)
	}
	before := c.objects.Position()
	err := crds.Post().AbsPath(path).Body([]byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"s"}}`)).Do(t.Context()).Error()
	if !apierrors.IsMethodNotSupported(err) || err.Error() != "rollcall keeps no customresourcedefinitions: nothing in it would act on them; other objects are not affected" {
		t.Errorf("create: %v", err)
	}
	if after := c.objects.Position(); after != before {
		t.Errorf("the log went from %d to %d", before, after)
	}
}
