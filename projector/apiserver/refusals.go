package apiserver

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/storage"

	"rollcall/events"
)

// unavailable tells a client that the log did not answer.
func (s *store) unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return storage.NewTimeoutError(s.prefix, "the log did not answer in time")
	}
	return apierrors.NewInternalError(err)
}

// refused tells a client why the log did not take a write.
func (s *store) refused(err error) error {
	var e *events.Error
	if errors.Is(err, events.ErrTooLarge) {
		return apierrors.NewRequestEntityTooLargeError(err.Error())
	}
	if errors.As(err, &e) && e.Exit == events.ExitInput {
		return apierrors.NewBadRequest(e.Error()) // a name or a size that no log takes
	}
	return s.unavailable(err)
}
