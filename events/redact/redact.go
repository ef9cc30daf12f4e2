// Package redact takes out of the events of a log what not everybody who may
// read of them is to see: the values of Secrets, of environment variables and of
// the headers of probes, and annotations by rule. Positions, ids, causes, names and
// all that is decided from stay as they are.
//
// A value is replaced by REDACTED and a keyed hash of it, so that two values which
// were the same still are: revisions are told apart as before, and a plan is
// decided again as it was. Without the key nobody can try values. Of a value of a
// Secret is left what events/seal shows everybody of it, and nothing to be opened.
//
// The package is pure.
package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/events/wire"
)

// applied are annotations that repeat the whole manifest of an object.
const applied = "kubectl.kubernetes.io/last-applied-configuration"

// Redactor redacts the events of one log.
type Redactor struct {
	key         []byte
	annotations []string
}

// New returns a redactor with a key that nobody else is to know. annotations are
// the names of those to redact besides the one in which kubectl keeps manifests,
// as patterns of path.Match without the special meaning of a slash.
func New(key []byte, annotations ...string) (*Redactor, error) {
	for _, p := range annotations {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("%q is no pattern: %w", p, err)
		}
	}
	return &Redactor{key, annotations}, nil
}

// String says what is redacted.
func (r *Redactor) String() string {
	s := "values of Secrets and of environment variables, headers of probes, manifests in annotations"
	if len(r.annotations) > 0 {
		s += ", annotations " + strings.Join(r.annotations, " ")
	}
	return s
}

// Event returns the bytes of an event of a log without what is redacted. What
// cannot be read is left out whole, since nobody knows what it shows; and so is
// what a write through the API has changed, in words that may be values: it is
// told anew from the objects.
func (r *Redactor) Event(raw []byte) []byte {
	var v any
	if wire.Unmarshal(raw, &v) != nil {
		return nil
	}
	e, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	delete(e, "change")
	secret := false
	if ref, ok := e["ref"].(map[string]any); ok {
		secret = ref["kind"] == string(events.Secret)
	}
	for _, of := range []string{"object", "gone"} {
		if o, ok := e[of].(map[string]any); ok {
			r.object(o, secret)
		}
	}
	if told, ok := e["told"].(map[string]any); ok {
		r.within(told["data"], r.secretNote)
	}
	out, err := wire.Marshal(e)
	if err != nil {
		return nil
	}
	return out
}

// object redacts the fields of an object.
func (r *Redactor) object(o map[string]any, secret bool) {
	note := r.secretNote
	if secret {
		seal.Replace(o, r.sealed)
		note = func(name string) bool { return r.secretNote(name) && !seal.Holds(name) }
	}
	r.within(o, note)
}

// within redacts what stands anywhere in an object: pod templates are in many
// kinds, and in the data of their revisions.
func (r *Redactor) within(v any, note func(annotation string) bool) {
	switch x := v.(type) {
	case []any:
		for _, item := range x {
			r.within(item, note)
		}
	case map[string]any:
		if meta, ok := x["metadata"].(map[string]any); ok {
			if notes, ok := meta["annotations"].(map[string]any); ok {
				r.values(notes, note)
			}
		}
		for _, list := range []string{"env", "httpHeaders"} { // credentials stand in both
			pairs, _ := x[list].([]any)
			for _, item := range pairs {
				if pair, ok := item.(map[string]any); ok {
					r.values(pair, func(k string) bool { return k == "value" })
				}
			}
		}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			r.within(x[k], note)
		}
	}
}

// secretNote reports whether an annotation is redacted.
func (r *Redactor) secretNote(name string) bool {
	return name == applied || slices.ContainsFunc(r.annotations, func(pattern string) bool {
		plain := strings.NewReplacer("/", "\x00")
		ok, _ := path.Match(plain.Replace(pattern), plain.Replace(name)) // New has seen the pattern
		return ok
	})
}

// values replaces the values of a map whose keys are chosen.
func (r *Redactor) values(m map[string]any, chosen func(string) bool) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !chosen(k) {
			continue
		}
		switch v := m[k].(type) {
		case string:
			if v != "" {
				m[k] = r.replace([]byte(v))
			}
		case []byte:
			if len(v) > 0 {
				m[k] = []byte(r.replace(v))
			}
		}
	}
}

// sealed returns what is left of a value of a Secret.
func (r *Redactor) sealed(value []byte) string {
	if text, sealed := seal.Shown(value); sealed {
		return text
	}
	return seal.Placeholder(r.hash(value))
}

func (r *Redactor) replace(value []byte) string {
	return "REDACTED-" + hex.EncodeToString(r.hash(value)[:8])
}

func (r *Redactor) hash(value []byte) []byte {
	h := hmac.New(sha256.New, r.key)
	h.Write(value)
	return h.Sum(nil)
}
