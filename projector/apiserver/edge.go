package apiserver

import (
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/projector/apiserver/netlimit"
)

// edge puts around the API what bounds its clients, tells them how it is, and
// Kubernetes' own filters.
func (s *Server) edge(api http.Handler, c *genericapiserver.Config) http.Handler {
	if s.config.Log != nil {
		api = withStaleWarning(api, s.link)
	}
	api = withPlaces(s.watches.limit(s.explained(api)), s.door)
	return withBodyDeadline(s.withBeside(genericapiserver.DefaultBuildHandlerChain(api, c)), bodyPause)
}

// withPlaces gives the connection of a known client a place that strangers
// cannot take, and ends that of an anonymous one with the answer: nobody keeps
// a connection by asking for what is public.
func withPlaces(next http.Handler, l *netlimit.Listener) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, ok := request.UserFrom(r.Context())
		switch {
		case !ok || u.GetName() == user.Anonymous:
			w.Header().Set("Connection", "close")
		case !l.Know(r):
			w.Header().Set("Connection", "close")
			tooMany(w, r, "the server has no file left for another connection: close others, or raise the limit of open files (ulimit -n)")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// notAllowed refuses a request of a kind that is never served, with the reason.
func notAllowed(code int32, why string) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: metav1.StatusReasonMethodNotAllowed, Message: why}}
}

// tooManyRetry is after how many seconds one who was refused a place may come again.
const tooManyRetry = 5

// tooMany answers 429.
func tooMany(w http.ResponseWriter, r *http.Request, why string) {
	refuse(w, r, apierrors.NewTooManyRequests(why, tooManyRetry))
}

// refuse answers with a Status, and tells when to come again if it does.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	responsewriters.ErrorNegotiated(err, legacyscheme.Codecs, schema.GroupVersion{Version: "v1"}, w, r)
}

// bodyPause is how long a client may send nothing of a body that it has begun.
// The whole of a request has Kubernetes' 60 seconds.
const bodyPause = 15 * time.Second

// withBodyDeadline gives up a body that does not come. Requests without one,
// as watches, are not touched.
func withBodyDeadline(next http.Handler, pause time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
			b := &pacedBody{ReadCloser: r.Body, conn: http.NewResponseController(w), pause: pause}
			r.Body = b
			defer b.rest()
		}
		next.ServeHTTP(w, r)
	})
}
