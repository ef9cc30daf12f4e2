package apiserver

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/projector/table"
)

// secrets are where the values of Secrets are sealed and opened: the log and the
// tables have them sealed, the registries and the watch cache above in clear.
type secrets struct {
	ring *seal.Ring
	past bool // values without a key are shown as what of them everybody may see
}

func (s *secrets) seal(o runtime.Object) (runtime.Object, error) {
	secret, ok := o.(*corev1.Secret)
	if !ok {
		return nil, fmt.Errorf("%T is no Secret", o)
	}
	sealed, err := s.ring.Seal(secret)
	if errors.Is(err, seal.ErrNoKey) {
		return nil, &events.Error{Code: "E-KEY-NONE", What: "there is no key to seal the values of Secrets with", Do: "start the instance with --key-file", Exit: events.ExitInput}
	}
	return sealed, err
}

// bytes are those of a Secret as they are to be decoded.
func (s *secrets) bytes(data []byte) []byte {
	if s.past {
		return s.ring.Mask(data)
	}
	return data
}

func (s *secrets) open(o runtime.Object) error {
	secret, ok := o.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("%T is no Secret", o)
	}
	return s.ring.Open(secret)
}

// isShut reports whether a Secret could not be read because of its seals.
func isShut(err error) bool { return errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrAltered) }

// replaceable returns a Secret that cannot be opened to who replaces all of it, with
// what of its values everybody may see. Nothing of that comes into the log: who
// changes a part of it is refused.
func (s *store) replaceable(i *table.Item) (runtime.Object, error) {
	shut := s.codec
	shut.secrets = &secrets{past: true}
	return shut.decode(i.Data, i.Rev)
}

// cannotOpen tells a client that asks for a Secret why it is not to be had.
func (s *store) cannotOpen(i *table.Item, why error) error {
	key, code := table.KeyOf(i.Path()), "E-KEY-GONE"
	if errors.Is(why, seal.ErrAltered) {
		code = "E-KEY-ALTERED"
	}
	return apierrors.NewInternalError(fmt.Errorf("%s %s as revision %d holds it cannot be opened: %w (%s); put its key back, or `kubectl replace` or `kubectl delete secret %s -n %s`",
		s.codec.stored.Kind, i.Path(), i.Rev, why, code, key.Name, key.Namespace))
}
