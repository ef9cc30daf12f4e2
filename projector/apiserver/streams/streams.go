// Package streams is the ways into the containers of pods: exec, attach,
// port-forward, proxies and logs. A pod of a real node is reached through the
// kubelet there, by Kubernetes' own registries; any other by what stands in for
// a kubelet.
package streams

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/registry/rest"
	api "k8s.io/kubernetes/pkg/apis/core"

	"rollcall/events"
	"rollcall/projector/table"
)

// Connecter is the registry of one way into a pod or a node.
type Connecter interface {
	rest.Storage
	rest.Connecter
}

// Places say where pods run.
type Places struct {
	Pods  rest.Getter
	Nodes *table.Table
	Past  bool // a log is looked at that nobody goes on with: no kubelet can be asked
}

// RealNode reports whether a node is there and has a kubelet of its own.
func (p Places) RealNode(name string) bool {
	node := p.Nodes.At(name)
	return node != nil && events.RealNode(node.Data)
}

// Real reports whether a pod is bound to a node that has a kubelet of its own. Of
// the past it refuses that.
func (p Places) Real(ctx context.Context, pod string) (bool, error) {
	o, err := p.Pods.Get(ctx, pod, &metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	real := p.RealNode(o.(*api.Pod).Spec.NodeName)
	if real && p.Past {
		return false, refused("pod " + pod + " is on a real node: what its containers wrote and did is not in the log")
	}
	return real, nil
}

// ToPod returns the registry of a way into pods: through their kubelets into
// those of real nodes, and otherwise as others do it.
func ToPod(p Places, kubelets, others Connecter) Connecter { return toPod{kubelets, others, p} }

type toPod struct {
	Connecter
	others Connecter
	places Places
}

// Connect implements rest.Connecter.
func (t toPod) Connect(ctx context.Context, id string, options runtime.Object, r rest.Responder) (http.Handler, error) {
	switch real, err := t.places.Real(ctx, named(id)); {
	case err != nil:
		return nil, err
	case real:
		return t.Connecter.Connect(ctx, id, options, r)
	}
	return t.others.Connect(ctx, id, options, r)
}

// ToNode returns the registry of the ways to the kubelets of nodes, which refuses
// for those that have none of their own.
func ToNode(p Places, kubelets Connecter) Connecter { return toNode{kubelets, p} }

type toNode struct {
	Connecter
	places Places
}

// Connect implements rest.Connecter.
func (t toNode) Connect(ctx context.Context, id string, options runtime.Object, r rest.Responder) (http.Handler, error) {
	switch name := named(id); {
	case t.places.Nodes.At(name) == nil:
		return nil, errors.NewNotFound(api.Resource("nodes"), name)
	case t.places.Past || !t.places.RealNode(name):
		return nil, refused("node " + name + " has no kubelet of its own here that could be asked")
	}
	return t.Connecter.Connect(ctx, id, options, r)
}

// named returns the name in what a proxy is asked for: "name", "name:port" or
// "scheme:name:port".
func named(id string) string {
	if _, name, _, ok := utilnet.SplitSchemeNamePort(id); ok {
		return name
	}
	return id
}

// refused refuses what can never be done, with the reason.
func refused(why string) *errors.StatusError {
	return &errors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotImplemented,
		Reason: metav1.StatusReasonMethodNotAllowed, Message: why}}
}
