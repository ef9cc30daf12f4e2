package main

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"

	"rollcall/publisher/simkubelet"
)

// The nodes with which up begins a cluster go into the log as they are, many at
// once. Each is as the API would have made it: Kubernetes' defaults change
// nothing of it, and Kubernetes' rules refuse nothing.
func TestNodesAreAsTheAPIMakesThem(t *testing.T) {
	for n := range simkubelet.NewNodes(60, 7) {
		defaulted := n.DeepCopy()
		legacyscheme.Scheme.Default(defaulted)
		if !equality.Semantic.DeepEqual(defaulted, n) {
			t.Errorf("%s has other defaults:\n%v\n%v", n.Name, n, defaulted)
		}
		internal := &api.Node{}
		if err := legacyscheme.Scheme.Convert(defaulted, internal, nil); err != nil {
			t.Fatal(err)
		}
		if errs := validation.ValidateNode(internal); len(errs) > 0 {
			t.Errorf("%s: %v", n.Name, errs)
		}
	}
}
