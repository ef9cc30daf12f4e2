package events

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events/wire"
)

// MaxCommands bounds the commands of one plan; more are planned after these.
const MaxCommands = 500

// Plan is one decision: what it was decided from, the commands with their
// reasons, and what was held back by what. It is appended as one message,
// fenced by the last plan of its owner, so that two controllers are a waste and
// never a danger.
//
// Owner is the DaemonSet that the plan was made for. The garbage collector's
// plans have the zero Owner and one fence for the whole log: what is left behind
// may have several owners in several places. They hold nothing but Basis and
// Commands, and no object twice.
type Plan struct {
	Owner    Ref         `json:"-"` // the ref of the envelope
	Basis    Basis       `json:"basis"`
	Revision string      `json:"revision,omitempty"` // hash of the revision that new pods get
	Rollout  Budget      `json:"rollout,omitzero"`
	Commands []Command   `json:"commands,omitempty"` // at most MaxCommands
	Waiting  wire.Raw    `json:"waiting,omitempty"`  // Waits: every fold reads the plan, and hardly anybody these
	Held     []WaitCount `json:"held,omitempty"`     // every cause with its number of nodes, by cause
}

// Type returns the type of an event whose body is p.
func (p *Plan) Type() Type {
	if p.Owner == (Ref{}) {
		return GCPlanned
	}
	return Planned
}

// MaxWaits bounds the named waits of a plan; Held counts all of them.
const MaxWaits = 20

// Basis is what a plan was decided from: the state at Seq and the time Now.
// Deciding again from the same basis gives the same bytes.
type Basis struct {
	Seq Seq       `json:"seq"`
	Now time.Time `json:"now,omitzero"`
}

// Budget is the arithmetic of a rollout at the basis and after the commands.
type Budget struct {
	Desired        int `json:"desired,omitempty"`        // nodes that should run a pod
	Updated        int `json:"updated,omitempty"`        // desired nodes whose pod has the current revision
	Unavailable    int `json:"unavailable,omitempty"`    // desired nodes without an available pod
	Surging        int `json:"surging,omitempty"`        // nodes that run an old and a new pod
	MaxUnavailable int `json:"maxUnavailable,omitempty"` // resolved; 0 when surging
	MaxSurge       int `json:"maxSurge,omitempty"`       // resolved; 0 when not surging
	Taken          int `json:"taken,omitempty"`          // available pods that this plan takes away
	Added          int `json:"added,omitempty"`          // pods that this plan adds beside an old one
}

// Verb is what a command does.
type Verb string

// The verbs of commands: those of a DaemonSet's plans, then those of the
// garbage collector's.
const (
	CreatePod  Verb = "CreatePod"
	DeletePod  Verb = "DeletePod"
	AdoptPod   Verb = "AdoptPod"   // make the DaemonSet the controller of an ownerless pod
	ReleasePod Verb = "ReleasePod" // take the DaemonSet off a pod it no longer selects

	DeleteObject   Verb = "DeleteObject"   // with Finalizer, which is put on before
	DisownObject   Verb = "DisownObject"   // take Owners off
	FinalizeObject Verb = "FinalizeObject" // take Finalizer off; the object is gone if it was the last
)

// Reason says why a command was planned.
type Reason string

// The reasons of commands.
const (
	Missing     Reason = "Missing"     // the node should run a pod and has none
	FailedPod   Reason = "Failed"      // the pod's phase is Failed
	Succeeded   Reason = "Succeeded"   // the pod's phase is Succeeded
	Duplicate   Reason = "Duplicate"   // another pod of the DaemonSet serves the node
	NotWanted   Reason = "NotWanted"   // the node may not keep the pod
	Rollout     Reason = "Rollout"     // the pod has an old revision
	Surge       Reason = "Surge"       // a new pod beside an old one
	SurgeDone   Reason = "SurgeDone"   // the new pod beside it took over, or the old one was not ready
	OwnerGone   Reason = "OwnerGone"   // the DaemonSet, or every owner that the command is about, was deleted
	NodeGone    Reason = "NodeGone"    // the node was deleted
	Suspended   Reason = "Suspended"   // the DaemonSet is suspended
	Selected    Reason = "Selected"    // the selector matches an ownerless pod
	NotSelected Reason = "NotSelected" // the selector no longer matches the pod

	OwnerDeleting Reason = "OwnerDeleting" // an owner waits for its dependents to be gone
	Orphaned      Reason = "Orphaned"      // an owner is deleted and leaves its dependents
	Collected     Reason = "Collected"     // what the finalizer waits for has happened
)

// Command is one thing to do to one incarnation of an object. Carrying it out
// twice has the effect of once: name and uid of a pod to create are derived from
// DaemonSet, node, revision and attempt; in a real cluster the uid is a wish. A command of the garbage collector is
// overtaken by any fact about its object that is later than the basis.
type Command struct {
	Do        Verb `json:"do"`
	Ref       `json:"ref"`
	Node      string      `json:"node,omitempty"` // of the pod, as NodeUID: commands of a DaemonSet
	NodeUID   types.UID   `json:"nodeUID,omitempty"`
	Revision  string      `json:"revision,omitempty"`  // CreatePod: hash of the revision to create
	Attempt   int         `json:"attempt,omitempty"`   // CreatePod: how many pods the cell had before under this revision
	Owners    []types.UID `json:"owners,omitempty"`    // DisownObject
	Finalizer string      `json:"finalizer,omitempty"` // DeleteObject, FinalizeObject
	Reason    Reason      `json:"reason"`
}

// String says what the command does to what, and why.
func (c Command) String() string {
	s := string(c.Do) + " " + c.Ref.String()
	if c.Node != "" {
		s += " on " + c.Node
	}
	if len(c.Owners) > 0 {
		s += fmt.Sprintf(" from %v", c.Owners)
	}
	if c.Finalizer != "" {
		s += " with " + c.Finalizer
	}
	return s + " (" + string(c.Reason) + ")"
}

// Held says what keeps a node from its next step.
type Held string

// What a node waits for.
const (
	HeldBudget      Held = "budget"      // maxUnavailable or maxSurge is used up
	HeldBackoff     Held = "backoff"     // its pods failed; the next try is later
	HeldPending     Held = "pending"     // a command is under way
	HeldTerminating Held = "terminating" // the old pod is not gone yet
	HeldPaused      Held = "paused"      // rollcall/paused
	HeldCanary      Held = "canary"      // rollcall/canary-selector keeps the old revision here
	HeldHold        Held = "hold"        // somebody outside holds the DaemonSet, or the node
	HeldPartition   Held = "partition"   // rollcall/partition keeps the old revision here
	HeldPredecessor Held = "predecessor" // a pod of a deleted DaemonSet of this name is not gone yet
	HeldNamespace   Held = "namespace"   // the namespace is being deleted
	HeldLimit       Held = "limit"       // MaxCommands, or slow start after a failure
	HeldSkew        Held = "skew"        // the template has a field that this version does not know
	HeldAltered     Held = "altered"     // a pod came back from the cluster other than it was made
	HeldLoop        Held = "loop"        // pods are made and replaced again and again
	HeldUnrecorded  Held = "unrecorded"  // the log does not have it, or a pod or revision of it, as it is in the cluster
)

// Lasts reports whether what is held back by h may stay so for long: somebody
// wants it so, or pods of which nobody knows when they get ready use up the
// budget. A plan is made when it begins and when it ends, though there may be
// nothing to do.
func (h Held) Lasts() bool {
	switch h {
	case HeldPaused, HeldCanary, HeldHold, HeldPartition, HeldBudget, HeldSkew, HeldAltered, HeldLoop, HeldUnrecorded:
		return true
	}
	return false
}

// PackWaits returns what Plan.Waiting is for these nodes, at most MaxWaits by name.
func PackWaits(ws []Wait) wire.Raw {
	if len(ws) == 0 {
		return nil
	}
	raw, err := wire.Marshal(ws)
	if err != nil {
		panic(fmt.Sprintf("nodes that wait: %v", err)) // until a year of five digits
	}
	return raw
}

// Waits returns the nodes that the plan names as held back, by name. Of a plan
// in which that cannot be read there are none.
func (p *Plan) Waits() []Wait {
	var ws []Wait
	if p.Waiting == nil || wire.Unmarshal(p.Waiting, &ws) != nil {
		return nil
	}
	return ws
}

// Wait is one node that is held back.
type Wait struct {
	Node  string    `json:"node"`
	For   Held      `json:"for"`
	Until time.Time `json:"until,omitzero"` // zero: until something happens
	By    string    `json:"by,omitempty"`   // of a hold its owner and name
}

// WaitCount is how many nodes are held back by one thing.
type WaitCount struct {
	For   Held `json:"for"`
	Nodes int  `json:"nodes"`
}
