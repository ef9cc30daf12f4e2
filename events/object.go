package events

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events/wire"
)

// NewObject returns the body that says that o, of kind k, is now so. o is a
// pointer to a Kubernetes v1 object and is not kept.
func NewObject(k Kind, o metav1.Object) (Object, error) {
	data, err := wire.Marshal(o)
	if err != nil {
		return Object{}, fmt.Errorf("encode %s %s: %w", k, o.GetName(), err)
	}
	return Object{Ref: RefFor(k, o), Data: data}, nil
}

// RefFor returns the reference to o.
func RefFor(k Kind, o metav1.Object) Ref {
	return Ref{Kind: k, Key: Key{o.GetNamespace(), o.GetName()}, UID: o.GetUID()}
}

// Decode reads the object into a pointer to its Kubernetes v1 type.
func (o Object) Decode(into any) error {
	if err := wire.Unmarshal(o.Data, into); err != nil {
		return fmt.Errorf("decode %s %s: %w", o.Kind, o.Key, err)
	}
	return nil
}

// DerivedUID returns the uid of something that a digest stands for: a version 8
// UUID (RFC 9562), the same for the same digest.
func DerivedUID(digest [sha256.Size]byte) types.UID {
	id := digest[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	const hex = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, hex[b>>4], hex[b&15])
	}
	return types.UID(out)
}

// AnswerID returns the id of the event that answers a command: the same for
// every try, so that a command carried out twice is answered once. what tells
// several events of one command apart.
func AnswerID(c Cause, planned time.Time, what string) ulid.ULID {
	h := sha256.New()
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], uint64(c.Seq))
	binary.BigEndian.PutUint64(n[8:], uint64(c.Index))
	h.Write(n[:])
	h.Write([]byte(what))
	var id ulid.ULID
	copy(id[6:], h.Sum(nil))
	if ms := planned.UnixMilli(); ms > 0 {
		// A time before the maximum of 48 bits cannot fail.
		_ = id.SetTime(min(uint64(ms), ulid.MaxTime()))
	}
	return id
}
