package apiserver

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/storage"

	"rollcall/events"
)

// unavailable tells a client that the log did not answer.
func (s *store) unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return storage.NewTimeoutError(s.prefix, "the log did not answer in time")
	}
	if busy := notNow(err); busy != nil {
		return busy
	}
	return apierrors.NewInternalError(err)
}

// refused tells a client why the log did not take a write.
func (s *store) refused(err error) error {
	var e *events.Error
	switch {
	case !errors.As(err, &e) || e.Exit != events.ExitInput:
		return s.unavailable(err)
	case errors.Is(err, events.ErrTooLarge):
		return apierrors.NewRequestEntityTooLargeError(e.What + "; " + e.Why)
	}
	return apierrors.NewBadRequest(e.Error()) // a name that no log takes
}

// maxObject bounds the bytes of one object. What etcd takes, 1.5 MiB, fits: a
// log has bytes as JSON has them, in base64.
const maxObject = 2 << 20

// fits refuses an object that is larger than any that Kubernetes keeps.
func fits(o events.Object) error {
	if len(o.Data) <= maxObject {
		return nil
	}
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("%s %s has %d bytes; the largest object that is kept has %d", o.Kind, o.Key, len(o.Data), maxObject))
}
