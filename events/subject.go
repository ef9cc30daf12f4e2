package events

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Subjects names the subjects of one cluster's log:
//
//	rollcall.<cluster>.<kind>.<namespace or _>.<name>   facts of one object
//	rollcall.<cluster>.plan.<namespace>.<daemonset>     plans of one DaemonSet
//	rollcall.<cluster>.outcome.<namespace>.<daemonset>  outcomes of its commands
//	rollcall.<cluster>.plan._.collector                 plans of the garbage collector
//	rollcall.<cluster>.outcome._.collector              outcomes of its commands
//
// and beside the log
//
//	rollcall.<cluster>.gate.as.<user>.<verb>            requests of a NATS user to the gate
//
// Kubernetes names cannot hold "_", so "." in a name is written "_" and back
// without loss.
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
// so that requests to the cluster's gate, which have six, are never stored.
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

// Object returns the subject of an object's facts.
func (s Subjects) Object(k Kind, key Key) string {
	ns := "_"
	if key.Namespace != "" {
		ns = token(key.Namespace)
	}
	return "rollcall." + s.cluster + "." + strings.ToLower(string(k)) + "." + ns + "." + token(key.Name)
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
	names := []string{ref.Key.Name}
	if ref.Key.Namespace != "" {
		names = append(names, ref.Key.Namespace)
	}
	if ofCollector(e.Body) {
		names = nil
	}
	for _, n := range names {
		if why := CheckName(n); why != "" {
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

// CheckName returns why name cannot name an object (it is not a DNS-1123
// subdomain), or "".
func CheckName(name string) string {
	if why := validation.IsDNS1123Subdomain(name); why != nil {
		return why[0]
	}
	return ""
}

// token writes a DNS-1123 name as one subject token.
func token(name string) string { return strings.ReplaceAll(name, ".", "_") }

// Under returns what a subject of the log is of: a kind in lower case, "plan" or
// "outcome", and whose; "" if it is no subject of a log.
func Under(subject string) (of string, key Key) {
	t := strings.Split(subject, ".")
	if len(t) != 5 {
		return "", Key{}
	}
	key = Key{Namespace: untoken(t[3]), Name: untoken(t[4])}
	if t[3] == "_" {
		key.Namespace = ""
	}
	return t[2], key
}

// untoken reads a subject token back into the name.
func untoken(t string) string { return strings.ReplaceAll(t, "_", ".") }
