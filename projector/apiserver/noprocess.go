package apiserver

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/registry/rest"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
)

// longRunning tells requests that take as long as they take from those that
// have to be answered in time: watches, and what talks with a container.
var longRunning = genericfilters.BasicLongRunningRequestCheck(sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "log", "portforward", "proxy"))

// noProcess is Kubernetes' registry of a way into a container, which refuses:
// nothing runs in one.
type noProcess struct{ connecter }

type connecter interface {
	rest.Storage
	rest.Connecter
}

// Connect implements rest.Connecter: it refuses.
func (noProcess) Connect(_ context.Context, pod string, _ runtime.Object, _ rest.Responder) (http.Handler, error) {
	return nil, notAllowed(http.StatusNotImplemented, "the containers of pod "+pod+" are simulated: no process runs in them")
}
