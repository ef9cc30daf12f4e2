// Package events is the vocabulary of rollcall: what a log says and the
// interfaces of the logs that say it.
//
// A log holds facts (an object is now so, or is gone), plans (what the
// controller decided, with its reasons: for one DaemonSet, or what garbage
// collection does), outcomes (a command that could not be carried out), and what
// others told (that rollouts are to hold, or what happened elsewhere), in one
// total order; and, where the cluster is a real one, its charter. State is the fold of a log; nothing is true that is not in
// one.
//
// The package is pure: no clock, no goroutine, no I/O.
package events

import (
	"cmp"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"k8s.io/apimachinery/pkg/types"
)

// Seq is a position in a log. 0 is before the first event. It is the NATS
// stream sequence and the Kubernetes resourceVersion of what it changed.
type Seq uint64

// Key names an object of a kind. Namespace is empty for cluster-scoped kinds.
type Key struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String returns namespace/name, or name alone for a cluster-scoped object.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// Compare orders keys by namespace, then name.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// Kind is a Kubernetes kind that a log holds; that of a CustomResourceDefinition
// has its group behind it (CustomKind).
type Kind string

// The kinds that decisions read. Other kinds are kept and not interpreted.
const (
	Node               Kind = "Node"
	Pod                Kind = "Pod"
	DaemonSet          Kind = "DaemonSet"
	ControllerRevision Kind = "ControllerRevision"
	PriorityClass      Kind = "PriorityClass"
	Namespace          Kind = "Namespace"
)

// Ref names one object, and with UID one incarnation of it.
type Ref struct {
	Kind Kind `json:"kind"`
	Key  `json:",inline"`
	UID  types.UID `json:"uid,omitempty"`
}

// String returns kind and name.
func (r Ref) String() string { return string(r.Kind) + " " + r.Key.String() }

// Compare orders references by kind, key and uid.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(strings.Compare(string(r.Kind), string(o.Kind)), r.Key.Compare(o.Key), strings.Compare(string(r.UID), string(o.UID)))
}

// Cause names a command: the plan at Seq, its Index-th command. The zero
// Cause means that no command caused the event.
type Cause struct {
	Seq   Seq `json:"seq"`
	Index int `json:"index"`
}

// IsZero reports whether no command is named.
func (c Cause) IsZero() bool { return c == Cause{} }

// Type says what an event tells, as kind and past verb: "pod.created". The verb
// is what stands behind the last dot: "widget.example.com.created".
type Type string

// Types that are not about one object.
const (
	Planned   Type = "daemonset.planned"
	GCPlanned Type = "gc.planned"        // by the garbage collector
	Failed    Type = "command.failed"    // a command was refused
	Overtaken Type = "command.overtaken" // a command had nothing left to do
)

// Verbs of object events.
const (
	VerbCreated = "created"
	VerbUpdated = "updated"
	VerbDeleted = "deleted"
)

// ObjectType returns the type of an event about an object of kind k.
func ObjectType(k Kind, verb string) Type { return Type(strings.ToLower(string(k)) + "." + verb) }

// Event is one entry of a log. It is never modified after it was appended.
type Event struct {
	Seq     Seq       // assigned by the log
	Stored  time.Time // assigned by the log: its clock at the append
	Subject string    // under which the log has it; empty: the reader does not say

	ID     ulid.ULID // assigned by the source; the same again means the same event
	Type   Type
	Source string // which program
	Actor  string // which user, if one is known
	// Of a request to the Kubernetes API: what was asked for ("patch",
	// "update status"), by which field manager, and what that changed, in words.
	Verb, Manager, Change string
	At                    time.Time // when the source saw it, by its own clock
	Cause                 Cause
	Told                  *Told // who told it through the gate; nil: nobody outside
	Body                  Body

	Raw []byte // the bytes in the log, set by readers; never modified
	// Looked is what was read of the body ahead of the fold, on another core; nil:
	// nothing was. The fold takes it off.
	Looked any
	// sound: Decode, which may run on another core than the fold, found nothing
	// that speaks against the body.
	sound bool
}

// Body is what an event tells: Object, Gone, *Plan, Outcome or Unreadable; of what
// somebody outside told also Unchanged, Hold, Lifted or Note; and Charter.
type Body interface{ body() }

// Object says that an object is now so.
type Object struct {
	Ref
	Data []byte // the whole object as a msgpack map with its JSON field names
}

// Gone says that an object is gone.
type Gone struct {
	Ref
	Data []byte // its last state, where the source knew it
}

// Outcome ends a command that no fact answers. The event's Cause names the
// command, Owner is that of its plan, Reason one word for machines, Message a
// sentence for people.
type Outcome struct {
	Owner   Ref     `json:"-"` // the ref of the envelope
	Command Command `json:"command"`
	Reason  string  `json:"reason,omitempty"`
	Message string  `json:"message,omitempty"`
}

// Unreadable stands for bytes that are not an event this program knows, and for
// an event that a Screen does not believe. It is quarantined by the fold with
// its position, never skipped silently.
type Unreadable struct {
	Code string // E-EVT-...
	Why  string
	Ref  Ref // what the event would be about; zero: nobody can tell
}

func (Object) body()     {}
func (Gone) body()       {}
func (*Plan) body()      {}
func (Outcome) body()    {}
func (Unreadable) body() {}

// RefOf returns the object that e is about, or claims to be: the DaemonSet for
// its plans and their outcomes, the object of the command for an outcome of the
// garbage collector, the zero Ref for an event that is about none or, as a note
// or a plan of the garbage collector, about many.
func RefOf(e Event) Ref {
	switch b := e.Body.(type) {
	case Object:
		return b.Ref
	case Gone:
		return b.Ref
	case *Plan:
		return b.Owner
	case Outcome:
		if b.Owner == (Ref{}) {
			return b.Command.Ref
		}
		return b.Owner
	case Unreadable:
		return b.Ref
	case Unchanged:
		return b.Ref
	case Hold:
		return b.Ref()
	case Lifted:
		return b.Ref()
	case Charter:
		return b.Ref()
	}
	return Ref{}
}
