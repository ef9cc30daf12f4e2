package events

import "k8s.io/apimachinery/pkg/types"

// Collection is one decision about objects whose owners or node are gone or
// going. It is a plan like that of a DaemonSet, with one subject for
// the whole log: what is left behind may have several owners in several places.
type Collection struct {
	Basis    Basis
	Commands []CollectCommand // at most MaxCommands, no object twice
}

// The verbs of a collection.
const (
	DeleteObject   Verb = "DeleteObject"   // with Finalizer, which is put on before
	DisownObject   Verb = "DisownObject"   // take Owners off
	FinalizeObject Verb = "FinalizeObject" // take Finalizer off; the object is gone if it was the last
)

// The reasons of a collection, besides OwnerGone (every owner that is taken
// off, or every owner there was, is gone) and NodeGone.
const (
	OwnerDeleting Reason = "OwnerDeleting" // an owner waits for its dependents to be gone
	Orphaned      Reason = "Orphaned"      // an owner is deleted and leaves its dependents
	Collected     Reason = "Collected"     // what the finalizer waits for has happened
)

// CollectCommand is one thing to do to one incarnation of an object, as the
// log had it at the basis: a later fact about the object overtakes it.
type CollectCommand struct {
	Do        Verb
	Ref       Ref
	Owners    []types.UID // DisownObject
	Finalizer string      // DeleteObject, FinalizeObject
	Reason    Reason
}

// Uncollected ends a command of a collection that no fact answers, as Outcome
// does for one of a plan.
type Uncollected struct {
	Command CollectCommand
	Reason  string
	Message string
}

func (*Collection) body() {}
func (Uncollected) body() {}

// Kinds that collection knows: an owner of another kind or group may be kept
// by somebody else, and is never taken for gone.
const (
	Secret                Kind = "Secret"
	ConfigMap             Kind = "ConfigMap"
	ServiceAccount        Kind = "ServiceAccount"
	PersistentVolume      Kind = "PersistentVolume"
	PersistentVolumeClaim Kind = "PersistentVolumeClaim"
	Deployment            Kind = "Deployment"
	ReplicaSet            Kind = "ReplicaSet"
	StatefulSet           Kind = "StatefulSet"
	Job                   Kind = "Job"
	CronJob               Kind = "CronJob"
	PodDisruptionBudget   Kind = "PodDisruptionBudget"
	RuntimeClass          Kind = "RuntimeClass"
)

type kindOf struct {
	group      string
	namespaced bool
}

var kinds = map[Kind]kindOf{
	Node: {"", false}, Namespace: {"", false}, PersistentVolume: {"", false}, PriorityClass: {"scheduling.k8s.io", false},
	RuntimeClass: {"node.k8s.io", false},
	Pod:          {"", true}, Secret: {"", true}, ConfigMap: {"", true}, ServiceAccount: {"", true}, PersistentVolumeClaim: {"", true},
	DaemonSet: {"apps", true}, ControllerRevision: {"apps", true}, Deployment: {"apps", true}, ReplicaSet: {"apps", true}, StatefulSet: {"apps", true},
	Job: {"batch", true}, CronJob: {"batch", true}, PodDisruptionBudget: {"policy", true},
}

// Kept reports whether a log holds every object of a kind of an API group, and
// whether they are in namespaces.
func Kept(group string, k Kind) (namespaced, ok bool) {
	x, ok := kinds[k]
	return x.namespaced, ok && x.group == group
}
