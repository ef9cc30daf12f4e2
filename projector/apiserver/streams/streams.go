// Package streams is the ways into the containers of pods: exec, attach,
// port-forward, proxies and logs. Kubernetes' own registries ask Connections for
// the way to the kubelet of a node, which is where simulated and real nodes part:
// a simulated one has a small kubelet in this process, at the other end of a pipe,
// that speaks by Kubernetes' own streaming code. Commands run in the shell of
// publisher/simkubelet/shell. It costs nothing until somebody connects.
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
