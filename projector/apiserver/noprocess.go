package apiserver

import (
	"context"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/registry/rest"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	api "k8s.io/kubernetes/pkg/apis/core"
)

// longRunning tells requests that take as long as they take from those that
// have to be answered in time: watches, and what talks with a container.
var longRunning = genericfilters.BasicLongRunningRequestCheck(sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "log", "portforward", "proxy"))

// noProcess stands for what reaches into a container: there is nothing in one.
type noProcess struct{ name string }

var _ rest.Connecter = noProcess{}

// New implements rest.Storage.
func (p noProcess) New() runtime.Object { return p.options() }

// Destroy implements rest.Storage.
func (p noProcess) Destroy() {}

func (p noProcess) options() runtime.Object {
	switch p.name {
	case "attach":
		return &api.PodAttachOptions{}
	case "exec":
		return &api.PodExecOptions{}
	case "portforward":
		return &api.PodPortForwardOptions{}
	}
	return &api.PodProxyOptions{}
}

// NewConnectOptions implements rest.Connecter.
func (p noProcess) NewConnectOptions() (runtime.Object, bool, string) {
	return p.options(), p.name == "proxy", "path"
}

// ConnectMethods implements rest.Connecter.
func (p noProcess) ConnectMethods() []string { return []string{http.MethodGet, http.MethodPost} }

// Connect implements rest.Connecter: it refuses.
func (p noProcess) Connect(_ context.Context, pod string, _ runtime.Object, _ rest.Responder) (http.Handler, error) {
	return nil, &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotImplemented,
		Reason: metav1.StatusReasonMethodNotAllowed, Message: "the containers of pod " + pod + " are simulated: no process runs in them"}}
}
