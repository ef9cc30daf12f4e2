package events

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Subjects names the subjects of one cluster's log:
//
//	rollcall.<cluster>.<kind>.<namespace or _>.<name>   facts of one object; a custom kind as widget_example_com
//	rollcall.<cluster>.plan.<namespace>.<daemonset>     plans of one DaemonSet
//	rollcall.<cluster>.outcome.<namespace>.<daemonset>  outcomes of its commands
//	rollcall.<cluster>.plan._.collector                 plans of the garbage collector
//	rollcall.<cluster>.outcome._.collector              outcomes of its commands
//	rollcall.<cluster>.hold.<owner>.<name>              one hold, placed and lifted
//	rollcall.<cluster>.charter._.charter                what the log is about
//	rollcall.<cluster>.note._.<source>                  notes of one source
//	rollcall.<cluster>.told._.<source>                  what it told that changed nothing
//
// and beside the log
//
//	rollcall.<cluster>.gate.as.<user>.<verb>            requests of a NATS user to the gate
//	rollcall.<cluster>.from.<source>.ingest.<type>      what a source tells the gate
//	rollcall.<cluster>.rejects.<source>                 what the gate has refused of it
//
// A name is one token, and is read back without loss: "." is written "_", and bytes
// other than letters, digits, "-" and ":" as "%" and two hexadecimal digits. Names of
// DNS-1123 have none of these; those of roles may.
type Subjects struct{ cluster string }

// NewSubjects returns the subjects of a cluster, whose name is a DNS-1123 label.
func NewSubjects(cluster string) (Subjects, error) {
	if why := validation.IsDNS1123Label(cluster); why != nil {
		return Subjects{}, &Error{Code: "E-CLI-CLUSTER", What: fmt.Sprintf("cluster name %q", cluster),
			Why: why[0], Do: "use lower-case letters, digits and dashes", Exit: ExitInput}
	}
	return Subjects{cluster}, nil
}

// Cluster returns the cluster's name.
func (s Subjects) Cluster() string { return s.cluster }

// All returns the wildcard that covers every subject of the log: five tokens,
// so that requests to the cluster's gate, which have six or more, and rejects,
// which have four, are never stored.
func (s Subjects) All() string { return "rollcall." + s.cluster + ".*.*.*" }

// Stream returns the name of the JetStream stream.
func (s Subjects) Stream() string { return "ROLLCALL_" + s.cluster }

// Bucket returns the name of the bucket or object store of this name beside the log.
func (s Subjects) Bucket(name string) string { return "rollcall_" + s.cluster + "_" + name }

// Gate returns the subject of a user's requests to the gate to do verb. A server
// that lets each user publish on the own one only has said who asks.
func (s Subjects) Gate(user, verb string) string {
	return "rollcall." + s.cluster + ".gate.as." + user + "." + verb
}

// Ingest returns the subject on which a source tells the gate an event of a type.
// A server that lets each source publish on its own ones only has said who tells.
func (s Subjects) Ingest(source, typ string) string {
	return "rollcall." + s.cluster + ".from." + source + ".ingest." + typ
}

// IngestOwn returns the subject on which those outside tell the gate events of types
// without a name: their account says it. It stands in their accounts only: in that of
// the log some of it are subjects of the log.
func (s Subjects) IngestOwn(types string) string { return "rollcall." + s.cluster + ".ingest." + types }

// Rejects returns the subject of what the gate has refused of a source, and
// RejectsStream the name of the stream that keeps it.
func (s Subjects) Rejects(source string) string {
	return "rollcall." + s.cluster + ".rejects." + source
}

// RejectsStream returns the name of the stream of what the gate has refused.
func (s Subjects) RejectsStream() string { return s.Stream() + "_REJECTS" }

// Hold returns the subject of a hold.
func (s Subjects) Hold(owner, name string) string { return s.Object(HoldKind, Key{owner, name}) }

// Note returns the subject of the notes of a source.
func (s Subjects) Note(source string) string { return s.from("note", source) }

// Unchanged returns the subject of what a source told that changed nothing.
func (s Subjects) Unchanged(source string) string { return s.from("told", source) }

func (s Subjects) from(what, source string) string {
	return "rollcall." + s.cluster + "." + what + "._." + token(source)
}

// Object returns the subject of an object's facts.
func (s Subjects) Object(k Kind, key Key) string {
	ns := "_"
	if key.Namespace != "" {
		ns = token(key.Namespace)
	}
	return "rollcall." + s.cluster + "." + k.token() + "." + ns + "." + token(key.Name)
}

// Plan returns the subject of a DaemonSet's plans; for the zero Key, of those of
// the garbage collector.
func (s Subjects) Plan(ds Key) string { return s.owned("plan", ds) }

// Outcome returns the subject of the outcomes of a DaemonSet's commands; for the
// zero Key, of those of the garbage collector.
func (s Subjects) Outcome(ds Key) string { return s.owned("outcome", ds) }

// collector stands for the name of a DaemonSet in subjects of the garbage collector.
const collector = "collector"

func (s Subjects) owned(what string, ds Key) string {
	if ds == (Key{}) {
		return "rollcall." + s.cluster + "." + what + "._." + collector
	}
	return "rollcall." + s.cluster + "." + what + "." + token(ds.Namespace) + "." + token(ds.Name)
}

// Of returns the subject that e is stored under, or an error if a name in it
// cannot be a subject token.
func (s Subjects) Of(e Event) (string, error) {
	ref := RefOf(e)
	if _, note := e.Body.(Note); !note && !ofCollector(e.Body) {
		if n, why := checkKey(ref.Kind, ref.Key); why != "" {
			return "", &Error{Code: "E-EVT-NAME", What: fmt.Sprintf("name %q of a %s", n, ref.Kind), Why: why, Exit: ExitInput}
		}
	}
	switch b := e.Body.(type) {
	case Object, Gone:
		return s.Object(ref.Kind, ref.Key), nil
	case *Plan:
		return s.Plan(b.Owner.Key), nil
	case Outcome:
		return s.Outcome(b.Owner.Key), nil
	case Hold, Lifted:
		return s.Hold(ref.Key.Namespace, ref.Key.Name), nil
	case Charter:
		return s.Charter(), nil
	}
	if e.Told != nil {
		if why := checkSubdomain(e.Told.Source); why != "" {
			return "", &Error{Code: "E-EVT-NAME", What: fmt.Sprintf("source %q", e.Told.Source), Why: why, Exit: ExitInput}
		}
		switch e.Body.(type) {
		case Note:
			return s.Note(e.Told.Source), nil
		case Unchanged:
			return s.Unchanged(e.Told.Source), nil
		}
	}
	return "", &Error{Code: "E-EVT-KIND", What: fmt.Sprintf("event %s has no body that a log takes", e.ID), Exit: ExitInput}
}

// ofCollector reports whether b is a plan of the garbage collector, or an
// outcome of one of its commands.
func ofCollector(b Body) bool {
	switch b := b.(type) {
	case *Plan:
		return b.Owner == (Ref{})
	case Outcome:
		return b.Owner == (Ref{})
	}
	return false
}

// CheckName returns why name cannot name an object of a kind, or "".
func CheckName(k Kind, name string) string {
	if !anyNames[k] {
		return checkSubdomain(name)
	}
	return checkSegment(name)
}

// checkKey returns the part of a key that cannot be one of an object of a kind, and
// why, or "".
func checkKey(k Kind, key Key) (part, why string) {
	if why := CheckName(k, key.Name); why != "" || key.Namespace == "" {
		return key.Name, why
	}
	return key.Namespace, checkSubdomain(key.Namespace)
}

// checkSubdomain returns why name is not a DNS-1123 subdomain, or "".
func checkSubdomain(name string) string {
	if why := validation.IsDNS1123Subdomain(name); why != nil {
		return why[0]
	}
	return ""
}

// checkSegment returns why name is not a segment of a path that can be shown, or "".
func checkSegment(name string) string {
	if why := content.IsPathSegmentName(name); why != nil {
		return why[0]
	}
	if name == "" || len(name) > validation.DNS1123SubdomainMaxLength || !printable(name) {
		return "a name has 1 to 253 printable characters"
	}
	return ""
}

// plain reports whether a byte of a name is itself in the token of that name.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == ':'
}

// token writes a name as one subject token.
func token(name string) string {
	if !strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII || !plain(byte(r)) }) {
		return name // nearly all
	}
	const hex = "0123456789ABCDEF"
	t := make([]byte, 0, len(name))
	for i := range len(name) {
		switch c := name[i]; {
		case plain(c):
			t = append(t, c)
		case c == '.':
			t = append(t, '_')
		default:
			t = append(t, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(t)
}

// Under returns what a subject of the log is of: a kind in lower case, "plan",
// "outcome", "hold", "charter", "note" or "told", and whose; "" if it is no subject of a log.
func Under(subject string) (of string, key Key) {
	t := strings.Split(subject, ".")
	if len(t) != 5 {
		return "", Key{}
	}
	key = Key{Namespace: untoken(t[3]), Name: untoken(t[4])}
	if t[3] == "_" {
		key.Namespace = ""
	}
	return untoken(t[2]), key
}

// untoken reads a subject token back into the name.
func untoken(t string) string {
	name := strings.ReplaceAll(t, "_", ".")
	for i := 0; i+2 < len(name); i++ {
		if name[i] != '%' {
			continue
		}
		if c, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
			name = name[:i] + string([]byte{byte(c)}) + name[i+3:]
		}
	}
	return name
}
