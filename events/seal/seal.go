// Package seal keeps the values of Secrets out of a log that many read: what the
// API appends has them sealed with a key of the cluster, and the API opens them for
// those whom it serves. Everybody else has a keyed hash of each value, by which
// equal values are recognised and none can be guessed.
//
// A sealed value is
//
//	sealed:HASH:KEY:BOX
//
// HASH are 16 digits of the hash, KEY the 8 digits that name the key, and BOX is
// XChaCha20-Poly1305 of the value, with its nonce before it. What else is
// authenticated is the place of the value (namespace, name, uid, field and key) and
// what stands before the box, so that a value cannot be moved to another place,
// nor be shown under another hash. Where only text can stand the box is in base64.
// What of it everybody may see is "sealed:HASH".
//
// The nonce is a keyed hash of place and value: the same value at the same place is
// the same bytes, so that what does not change an object is no event, and no nonce
// is used for two values.
//
// The package is pure.
package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
	corev1 "k8s.io/api/core/v1"
)

const (
	prefix     = "sealed:"
	hashDigits = 16
	keyDigits  = 8
	shown      = len(prefix) + hashDigits         // of what everybody may see
	head       = shown + 1 + keyDigits + len(":") // before the box
)

// KeySize is how many bytes a key has.
const KeySize = chacha20poly1305.KeySize

// Key seals and opens values.
type Key struct {
	id     string
	aead   cipher.AEAD
	nonces []byte // key of the hash that nonces are
	hashes []byte // key of the hash that is shown
}

// NewKey returns the key that KeySize secret bytes are.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("it has %d bytes, and a key has %d", len(secret), KeySize)
	}
	derived := func(what string) []byte { return keyed(secret, []byte("rollcall: "+what)) }
	aead, err := chacha20poly1305.NewX(derived("boxes of Secrets"))
	if err != nil {
		return nil, err
	}
	return &Key{hex.EncodeToString(derived("name of a key"))[:keyDigits], aead, derived("nonces of Secrets"), derived("hashes of Secrets")}, nil
}

// ID names the key, and tells nothing of it.
func (k *Key) ID() string { return k.id }

func keyed(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// place is where a value stands.
type place struct {
	of    *corev1.Secret
	field string
	key   string
}

// bytes are those that are authenticated with the value of a place.
func (p place) bytes() []byte {
	var b []byte
	for _, s := range []string{"Secret", p.of.Namespace, p.of.Name, string(p.of.UID), p.field, p.key} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

// seal returns a value of a place as the log has it.
func (k *Key) seal(at place, value []byte) []byte {
	out := append([]byte(prefix), hex.EncodeToString(keyed(k.hashes, value))[:hashDigits]...)
	out = append(out, ":"+k.id+":"...)
	with := append(at.bytes(), out...)
	nonce := keyed(k.nonces, with, value)[:k.aead.NonceSize()]
	return k.aead.Seal(append(out, nonce...), nonce, value, with)
}

// open returns the value of a place.
func (k *Key) open(at place, sealed []byte) ([]byte, error) {
	with, box := append(at.bytes(), sealed[:head]...), sealed[head:]
	if len(box) < k.aead.NonceSize() {
		return nil, ErrAltered
	}
	nonce, box := box[:k.aead.NonceSize()], box[k.aead.NonceSize():]
	value, err := k.aead.Open([]byte{}, nonce, box, with)
	if err != nil {
		return nil, ErrAltered
	}
	return value, nil
}

// ErrAltered is that of a value which is not what was sealed at its place.
var ErrAltered = errors.New("it is not what was sealed there: it was altered, or comes from another place")

// ErrNoKey is that of a value for which there is no key.
var ErrNoKey = errors.New("there is no key")

// Ring is the keys of a cluster: the first seals, all open. A nil one has none.
type Ring struct {
	keys []*Key
}

// NewRing returns a ring of these keys.
func NewRing(keys ...*Key) *Ring { return &Ring{keys} }

// key returns the key of a name, or nil.
func (r *Ring) key(id string) *Key {
	if r == nil {
		return nil
	}
	if i := slices.IndexFunc(r.keys, func(k *Key) bool { return k.id == id }); i >= 0 {
		return r.keys[i]
	}
	return nil
}

// Has reports whether the ring has the key of a name.
func (r *Ring) Has(id string) bool { return r.key(id) != nil }

// manifests are the annotations in which tools keep the whole Secret that they have
// applied: kubectl, kapp, those on Banzai Cloud's objectmatcher, those on Rancher's
// wrangler.
var manifests = []string{corev1.LastAppliedConfigAnnotation, "kapp.k14s.io/original", "banzaicloud.com/last-applied", "objectset.rio.cattle.io/applied"}

// Seal returns a Secret as the log has it. s is not changed, and may be shared; its
// name and its uid are there already.
func (r *Ring) Seal(s *corev1.Secret) (*corev1.Secret, error) {
	if r == nil || len(r.keys) == 0 {
		return nil, ErrNoKey
	}
	k, out := r.keys[0], *s
	if len(s.StringData) > 0 { // the API has none: what clients send there it has put into data
		return nil, errors.New("stringData is not kept in a log")
	}
	out.Data = maps.Clone(s.Data)
	for _, name := range slices.Sorted(maps.Keys(out.Data)) {
		if out.Data[name] != nil {
			out.Data[name] = k.seal(place{s, "data", name}, out.Data[name])
		}
	}
	for _, name := range manifests {
		if v, ok := s.Annotations[name]; ok {
			if len(out.Annotations) == len(s.Annotations) {
				out.Annotations = maps.Clone(out.Annotations)
			}
			sealed := k.seal(place{s, "annotations", name}, []byte(v))
			out.Annotations[name] = string(sealed[:head]) + base64.RawStdEncoding.EncodeToString(sealed[head:])
		}
	}
	return &out, nil
}

// Open opens the values of a Secret that comes out of the log, in place. Those that
// stand in clear stay, and so does what everybody may see of a value: it is what a
// redacted recording has. The error is that of the first value that cannot be opened.
func (r *Ring) Open(s *corev1.Secret) error {
	for _, name := range slices.Sorted(maps.Keys(s.Data)) {
		v, err := r.open(place{s, "data", name}, s.Data[name])
		if err != nil {
			return fmt.Errorf("value %q: %w", name, err)
		}
		s.Data[name] = v
	}
	for _, name := range manifests {
		text, ok := s.Annotations[name]
		if !ok {
			continue
		}
		v, err := r.open(place{s, "annotations", name}, binaryForm(text))
		if err != nil {
			return fmt.Errorf("annotation %q: %w", name, err)
		}
		s.Annotations[name] = string(v)
	}
	return nil
}

func (r *Ring) open(at place, v []byte) ([]byte, error) {
	id := keyOf(v)
	if id == "" {
		return v, nil
	}
	k := r.key(id)
	if k == nil {
		return nil, fmt.Errorf("it is sealed with key %s: %w", id, ErrNoKey)
	}
	return k.open(at, v)
}

// binaryForm returns a value that stands in text as it is in bytes. A box that is no
// base64 is none.
func binaryForm(text string) []byte {
	if keyOf([]byte(text)) == "" {
		return []byte(text)
	}
	box, err := base64.RawStdEncoding.DecodeString(text[head:])
	if err != nil {
		box = nil
	}
	return append([]byte(text[:head]), box...)
}

// keyOf returns the name of the key that a value is sealed with; empty: it is not
// sealed, or nothing is there but what everybody may see.
func keyOf(v []byte) string {
	if len(v) < head || !visible(v[:shown]) || v[shown] != ':' || !digits(v[shown+1:head-1]) || v[head-1] != ':' {
		return ""
	}
	return string(v[shown+1 : head-1])
}

// visible reports whether v has the form of what everybody may see of a value.
func visible(v []byte) bool {
	return len(v) == shown && bytes.HasPrefix(v, []byte(prefix)) && digits(v[len(prefix):])
}

func digits(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}
