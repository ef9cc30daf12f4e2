package events

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"rollcall/events/wire"
)

// CheckObjectName returns why Kubernetes would refuse an object of that kind
// and name, or "". Objects of the kinds that a log holds have names as CheckName
// wants them, and that of a Namespace is a label. Of other kinds any name goes
// that can be part of a path.
func CheckObjectName(k Kind, key Key) string {
	x, known := kinds[k]
	switch {
	case known && x.namespaced && key.Namespace == "":
		return fmt.Sprintf("%s %s has no namespace", k, quote(key.Name))
	case known && !x.namespaced && key.Namespace != "":
		return fmt.Sprintf("%s %s is in namespace %s, and has none", k, quote(key.Name), quote(key.Namespace))
	case known && k != Namespace && simpleSubdomain(key.Name) && (key.Namespace == "" || simpleLabel(key.Namespace)):
		return "" // nearly all
	case k == "" || !simpleKind(k.Name()) || k.Custom() && !simpleSubdomain(k.Group()):
		return fmt.Sprintf("kind %s cannot be one", quote(string(k)))
	}
	var why string
	switch {
	case k == Namespace:
		why = checkLabel(key.Name)
	case known, k.Custom():
		why = CheckName(k, key.Name)
	default:
		why = checkSegment(key.Name)
	}
	if why != "" {
		return fmt.Sprintf("%s %s: %s", k, quote(key.Name), why)
	}
	if key.Namespace != "" {
		if why := checkLabel(key.Namespace); why != "" {
			return fmt.Sprintf("namespace %s of %s %s: %s", quote(key.Namespace), k, quote(key.Name), why)
		}
	}
	return ""
}

// checkLabel returns why name is not a DNS-1123 label, or "".
func checkLabel(name string) string {
	if why := validation.IsDNS1123Label(name); why != nil {
		return why[0]
	}
	return ""
}

// simpleKind reports whether s is made of letters, digits and, inside, dashes:
// what a CustomResourceDefinition may call a kind.
func simpleKind(s string) bool {
	for i := range len(s) {
		c, inside := s[i], i > 0 && i < len(s)-1
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' && inside) {
			return false
		}
	}
	return len(s) <= validation.DNS1123LabelMaxLength
}

// simpleLabel reports whether s is a DNS-1123 label. It is what
// validation.IsDNS1123Label says, without its regular expression: the fold asks
// for every event.
func simpleLabel(s string) bool {
	return len(s) <= validation.DNS1123LabelMaxLength && simpleSubdomain(s) && strings.IndexByte(s, '.') < 0
}

// simpleSubdomain reports whether s is a DNS-1123 subdomain.
func simpleSubdomain(s string) bool {
	if len(s) == 0 || len(s) > validation.DNS1123SubdomainMaxLength {
		return false
	}
	edge := true // the character before is none, or a dot
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		switch {
		case alnum:
			edge = false
		case edge || c != '-' && c != '.' || s[i-1] == '-' && c == '.':
			return false
		default:
			edge = c == '.'
		}
	}
	return !edge && s[len(s)-1] != '-'
}

// doubtData compares the names in an object with those that the event gives
// for it. It reads no further than their end.
func doubtData(r Ref, data []byte) (code, why string) {
	var kind, name, namespace, uid []byte
	c := wire.NewCursor(data)
	for n := c.Map(); n > 0; n-- {
		switch string(c.Str()) {
		case "kind":
			kind = c.Str()
			continue
		case "metadata":
		default:
			c.Skip()
			continue
		}
		left := 3
		if r.Key.Namespace == "" {
			left = 2
		}
		for m := c.Map(); m > 0 && left > 0; m-- {
			switch string(c.Str()) {
			case "name":
				name = c.Str()
			case "namespace":
				namespace = c.Str()
				if r.Key.Namespace == "" {
					left++
				}
			case "uid":
				uid = c.Str()
			default:
				c.Skip()
				continue
			}
			left--
		}
		break
	}
	switch {
	case c.Err() != nil:
		return "E-EVT-OBJECT", c.Err().Error()
	case len(kind) > 0 && string(kind) != r.Kind.Name():
		return "E-EVT-OBJECT", fmt.Sprintf("the event tells of a %s and holds a %s", r.Kind, quote(string(kind)))
	case string(name) != r.Key.Name || string(namespace) != r.Key.Namespace || string(uid) != string(r.UID):
		return "E-EVT-OBJECT", fmt.Sprintf("the event tells of %s %s (uid %s) and holds %s (uid %s)", r.Kind, r.Key, r.UID,
			quote(Key{string(namespace), string(name)}.String()), quote(string(uid)))
	}
	return "", ""
}

// stands reports whether the subject of an event is the one that belongs to
// it, in whatever cluster.
func stands(e *Event) bool {
	rest := e.Subject
	next := func() string {
		t, after, _ := strings.Cut(rest, ".")
		rest = after
		return t
	}
	if next() != "rollcall" || next() == "" {
		return false
	}
	what, namespace, name := next(), next(), rest
	switch b := e.Body.(type) {
	case Object:
		return lowered(what, string(b.Kind), '_') && isToken(namespace, b.Key.Namespace) && isToken(name, b.Key.Name)
	case Gone:
		return lowered(what, string(b.Kind), '_') && isToken(namespace, b.Key.Namespace) && isToken(name, b.Key.Name)
	}
	r := RefOf(*e)
	if ofCollector(e.Body) {
		r.Key = Key{Name: collector}
	}
	switch e.Body.(type) {
	case *Plan:
		return what == "plan" && isToken(namespace, r.Key.Namespace) && isToken(name, r.Key.Name)
	case Outcome:
		return what == "outcome" && isToken(namespace, r.Key.Namespace) && isToken(name, r.Key.Name)
	case Hold, Lifted:
		return what == "hold" && isToken(namespace, r.Key.Namespace) && isToken(name, r.Key.Name)
	case Charter:
		return what == "charter" && isToken(namespace, "") && isToken(name, r.Key.Name)
	case Note:
		return what == "note" && namespace == "_" && isToken(name, e.Told.Source)
	case Unchanged:
		return what == "told" && namespace == "_" && isToken(name, e.Told.Source)
	}
	return true
}

// isToken reports whether t is the subject token of a name; "_" is that of none.
func isToken(t, name string) bool {
	if name == "" {
		return t == "_"
	}
	if len(t) != len(name) {
		return t == token(name)
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.':
			c = '_'
		case !plain(c):
			return false
		}
		if t[i] != c {
			return false
		}
	}
	return true
}
