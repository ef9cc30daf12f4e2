package streams

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// NoProcess is Kubernetes' registry of a way into a container, which refuses:
// nothing runs in a simulated one.
type NoProcess struct{ Connecter }

// Connect implements rest.Connecter: it refuses.
func (NoProcess) Connect(_ context.Context, pod string, _ runtime.Object, _ rest.Responder) (http.Handler, error) {
	return nil, refused("the containers of pod " + pod + " are simulated: no process runs in them")
}
