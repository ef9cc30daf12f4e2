package controller

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/owners"
)

// maxOwners bounds the owners that one command takes off, so that every
// plan fits a log; more come off with the next.
const maxOwners = 10

// lostAfter is how long a pod may be bound to a node that the log never told
// of. Kubernetes waits 40 seconds, and looks every 20.
const lostAfter = time.Minute

// PlanGC decides what is due about objects that owners and nodes left behind,
// in the state s and at the time now, which counts as log time if that is
// later. Nil: nothing. It looks at no more objects than were left behind.
func PlanGC(s *projector.State, now time.Time) *events.Plan {
	if s.Time().After(now) {
		now = s.Time()
	}
	if !collectsGarbage(s) {
		return nil
	}
	p := &events.Plan{Basis: events.Basis{Seq: s.Seq(), Now: now.UTC()}}
	g := s.Owners()
	g.EachOpen(func(o *owners.Object, r owners.Relation) bool {
		p.Commands = append(p.Commands, gcCommand(g, o, r))
		return len(p.Commands) < events.MaxCommands
	})
	g.EachNodeless(now.Add(-lostAfter), func(o *owners.Object) bool {
		if len(p.Commands) == events.MaxCommands {
			return false
		}
		p.Commands = append(p.Commands, gcCommand(g, o, owners.Relation{NodeAbsent: true}))
		return true
	})
	if len(p.Commands) == 0 {
		return nil
	}
	return p
}

// GCDue returns when something is due that nothing but time brings about;
// zero: nothing.
func GCDue(s *projector.State) time.Time {
	since, ok := s.Owners().NodelessSince()
	if !ok || !collectsGarbage(s) {
		return time.Time{}
	}
	return since.Add(lostAfter)
}

// gcAction is what garbage collection does to an object.
type gcAction int

// The actions, in the order of asking.
const (
	gcNone         gcAction = iota
	gcOrphan                // remove owners that are being deleted with policy Orphan
	gcNodeAbsent            // delete the pod: its node was deleted, or never came
	gcFinalize              // remove a finalizer whose condition holds
	gcRemoveOwners          // remove absent or waiting owners; a solid one remains
	gcDependent             // delete: an owner waits for its dependents, and none is solid
	gcAbsentOwners          // delete: every owner is absent
)

func gcActionOn(r *owners.Relation) gcAction {
	switch {
	case len(r.Orphaning) > 0:
		return gcOrphan
	case r.NodeAbsent:
		return gcNodeAbsent
	case r.Finalizer != "":
		return gcFinalize
	case r.Solid && len(r.Dangling) > 0:
		return gcRemoveOwners
	case r.Waiting > 0:
		return gcDependent
	case r.Absent > 0:
		return gcAbsentOwners
	}
	return gcNone
}

// gcCommand returns the command of what is done to an object.
func gcCommand(g *owners.Graph, o *owners.Object, r owners.Relation) events.Command {
	c := events.Command{Do: events.DeleteObject, Ref: o.Ref}
	switch gcActionOn(&r) {
	case gcOrphan:
		c.Do, c.Owners, c.Reason = events.DisownObject, bounded(r.Orphaning), events.Orphaned
	case gcRemoveOwners:
		c.Do, c.Owners, c.Reason = events.DisownObject, bounded(r.Dangling), events.OwnerDeleting
		if r.Absent > 0 {
			c.Reason = events.OwnerGone
		}
	case gcFinalize:
		c.Do, c.Finalizer, c.Reason = events.FinalizeObject, r.Finalizer, events.Collected
	case gcNodeAbsent:
		c.Reason = events.NodeGone
	case gcDependent:
		// An owner that waits for this object waits for what the object owns too.
		if g.Dependents(o.Ref) > 0 {
			c.Finalizer = metav1.FinalizerDeleteDependents
		}
		c.Reason = events.OwnerDeleting
	case gcAbsentOwners:
		c.Reason = events.OwnerGone
	}
	return c
}

func bounded(uids []types.UID) []types.UID { return uids[:min(len(uids), maxOwners)] }
