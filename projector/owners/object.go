// Package owners folds a log into the graph of owners: which object owns which,
// and what garbage collection has to know of each. The words are those of
// Kubernetes' garbage collector: an owner is solid if it stays, absent if it is
// not there, and waiting if it is being deleted after its dependents.
//
// The graph says what is so; what is done about it, and in which order, is
// decided in the controller. Pods that a DaemonSet alone owns are not in the
// graph: the plans of that DaemonSet look after them. Of pods and nodes it asks
// the Cluster.
package owners

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
)

// Object is what garbage collection reads of one object.
type Object struct {
	events.Ref
	Owners     []Owner
	Finalizers []string
	Deleting   bool

	open     bool      // something is to be done now
	nodeless bool      // something is to be done if its node does not come
	since    time.Time // nodeless: log time at which it came to be
	refused  bool      // the last command about the object failed, and the object has not changed since
}

// Owner is one owner of an object, or a reference to what can be no owner.
type Owner struct {
	events.Ref      // as the owner would have to be
	Known      bool // the log holds all objects of the owner's kind, and one may own this object
	Blocks     bool // the owner waits for the object when it is deleted in the foreground
	Controls   bool
}

// Relation says how an object stands to its owners, its node and its
// finalizers, as far as something may have to be done. Of an object that is
// being deleted, or that a DaemonSet is about to delete, absent and waiting
// owners are not told: it goes anyway.
type Relation struct {
	Orphaning []types.UID // owners that are deleted and leave their dependents, as the object lists them
	Dangling  []types.UID // owners that are absent or waiting, as the object lists them
	Absent    int         // so many of Dangling
	Waiting   int         // the others
	Solid     bool        // one owner stays

	Finalizer   string // what this finalizer of an object that is being deleted waits for has happened
	NodeAbsent  bool   // the node that a pod was made for was deleted
	NodeUnknown bool   // the node that a pod is bound to is one that the log never told of
}

// open reports whether something is to be done now.
func (r *Relation) open() bool {
	return len(r.Orphaning) > 0 || len(r.Dangling) > 0 || r.Finalizer != "" || r.NodeAbsent
}

// nodeless reports whether something is to be done if the node does not come.
func (r *Relation) nodeless() bool { return r.NodeUnknown && !r.open() }

func (o *Object) has(finalizer string) bool { return slices.Contains(o.Finalizers, finalizer) }

// Orphaning reports whether the object is deleted and leaves its dependents.
func (o *Object) Orphaning() bool { return o.Deleting && o.has(metav1.FinalizerOrphanDependents) }

// Waiting reports whether the object is deleted after its dependents.
func (o *Object) Waiting() bool {
	return o.Deleting && o.has(metav1.FinalizerDeleteDependents) && !o.Orphaning()
}

// blocks reports whether the object holds up the deletion of an owner.
func (o *Object) blocks(owner events.Ref) bool {
	return slices.ContainsFunc(o.Owners, func(x Owner) bool { return x.Known && x.Blocks && x.Ref == owner })
}

// owners returns the owners that the log can say something about, each once.
func (o *Object) owners() []events.Ref {
	var rs []events.Ref
	for _, x := range o.Owners {
		if x.Known && !slices.Contains(rs, x.Ref) {
			rs = append(rs, x.Ref)
		}
	}
	return rs
}

func compareRefs(a, b events.Ref) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), a.Key.Compare(b.Key), strings.Compare(string(a.UID), string(b.UID)))
}

// View reads an object.
func (g *Graph) View(ref events.Ref, data []byte) *Object {
	meta := wire.Field(data, "metadata")
	o := &Object{Ref: ref, Deleting: len(wire.Text(meta, "deletionTimestamp")) > 0}
	for f := range wire.Items(wire.Field(meta, "finalizers")) {
		c := wire.NewCursor(f)
		o.Finalizers = append(o.Finalizers, string(c.Str()))
	}
	for r := range wire.Items(wire.Field(meta, "ownerReferences")) {
		o.Owners = append(o.Owners, g.viewOwner(r, ref.Key.Namespace))
	}
	return o
}

// viewOwner reads one owner reference of an object in a namespace. An owner is
// in the namespace of what it owns, or in none.
func (g *Graph) viewOwner(r []byte, namespace string) Owner {
	o := Owner{Ref: events.Ref{Key: events.Key{Name: string(wire.Text(r, "name"))}, UID: types.UID(wire.Text(r, "uid"))},
		Controls: wire.True(r, "controller"), Blocks: wire.True(r, "blockOwnerDeletion")}
	group, _, ok := strings.Cut(string(wire.Text(r, "apiVersion")), "/")
	if !ok {
		group = ""
	}
	o.Kind = events.KindOf(group, string(wire.Text(r, "kind")))
	namespaced, known := events.Kept(group, o.Kind)
	if !known {
		namespaced, known = g.defined[o.Kind]
	}
	o.know(known, namespaced, namespace)
	return o
}

// know notes whether the log holds all objects of an owner's kind, and where the
// owner of an object in a namespace would have to be.
func (o *Owner) know(known, namespaced bool, namespace string) {
	o.Known, o.Key.Namespace = known && (!namespaced || namespace != ""), ""
	if known && namespaced {
		o.Key.Namespace = namespace
	}
}
