package apiserver

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
	noderegistry "k8s.io/kubernetes/pkg/registry/core/node"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"

	"rollcall/events"
)

// Rules are what the API says of objects that get into the log beside it: the
// defaults and the validation of its registries. What they refuse, they refuse
// with the errors of the API.
type Rules struct{ nodes, pods codec }

// NewRules returns the rules.
func NewRules() Rules {
	of := func(k events.Kind) codec {
		return codec{scheme: legacyscheme.Scheme, stored: resourceFor(k.Group(), k, "").gvk()}
	}
	return Rules{of(events.Node), of(events.Pod)}
}

// ruled is the revision that an object has while it is looked at: one without
// any cannot be changed.
const ruled = 1

// Node returns a node as the API would store it: a new one, or with Data in was
// what its spec and its status are changed to.
func (r Rules) Node(was, now events.Object) (events.Object, error) {
	o, err := r.nodes.decode(now.Data, ruled)
	if err != nil {
		return now, err
	}
	ctx := request.WithNamespace(context.Background(), "")
	if was.Data == nil {
		if err := rest.BeforeCreate(noderegistry.Strategy, ctx, o); err != nil {
			return now, err
		}
		return r.nodes.encode(o)
	}
	old, err := r.nodes.decode(was.Data, ruled)
	if err != nil {
		return now, err
	}
	status := o.(*api.Node).Status // the API changes it in a request of its own
	if err := rest.BeforeUpdate(noderegistry.Strategy, ctx, o, old); err != nil {
		return now, err
	}
	with := o.DeepCopyObject()
	with.(*api.Node).Status = status
	if err := rest.BeforeUpdate(noderegistry.StatusStrategy, ctx, with, o); err != nil {
		return now, err
	}
	return r.nodes.encode(with)
}

// PodStatus returns a pod as the API would store it after its status has changed.
func (r Rules) PodStatus(was, now events.Object) (events.Object, error) {
	pods := make([]runtime.Object, 2)
	for i, data := range [][]byte{was.Data, now.Data} {
		var err error
		if pods[i], err = r.pods.decode(data, ruled); err != nil {
			return now, err
		}
	}
	ctx := request.WithNamespace(context.Background(), now.Key.Namespace)
	if err := rest.BeforeUpdate(podregistry.StatusStrategy, ctx, pods[1], pods[0]); err != nil {
		return now, err
	}
	return r.pods.encode(pods[1])
}
