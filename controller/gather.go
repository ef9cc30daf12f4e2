package controller

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector"
)

// maxOwners bounds the owners that one command takes off, so that every
// plan fits a log; more come off with the next.
const maxOwners = 10

// lostAfter is how long a pod may be bound to a node that the log never told
// of. Kubernetes waits 40 seconds, and looks every 20.
const lostAfter = time.Minute

// Collect decides what is due about objects that owners and nodes left behind,
// in the state s and at the time now, which counts as log time if that is
// later. Nil: nothing. It walks no more than what is left behind.
func Collect(s *projector.State, now time.Time) *events.Plan {
	if s.Time().After(now) {
		now = s.Time()
	}
	p := &events.Plan{Basis: events.Basis{Seq: s.Seq(), Now: now.UTC()}}
	s.EachLeft(func(it *projector.Item, at projector.Standing) bool {
		p.Commands = append(p.Commands, relieve(s, it, at))
		return len(p.Commands) < events.MaxCommands
	})
	s.EachAdrift(now.Add(-lostAfter), func(it *projector.Item) bool {
		if len(p.Commands) == events.MaxCommands {
			return false
		}
		p.Commands = append(p.Commands, events.Command{Do: events.DeleteObject, Ref: it.Ref, Reason: events.NodeGone})
		return true
	})
	if len(p.Commands) == 0 {
		return nil
	}
	return p
}

// CollectAt returns when something is due that nothing but time brings about;
// zero: nothing.
func CollectAt(s *projector.State) time.Time {
	since, ok := s.AdriftSince()
	if !ok {
		return time.Time{}
	}
	return since.Add(lostAfter)
}

// relieve returns the command that ends a plight.
func relieve(s *projector.State, it *projector.Item, at projector.Standing) events.Command {
	c := events.Command{Do: events.DeleteObject, Ref: it.Ref}
	switch at.Plight {
	case projector.Orphan:
		c.Do, c.Owners, c.Reason = events.DisownObject, bounded(at.Owners), events.Orphaned
	case projector.Disowned:
		c.Do, c.Owners, c.Reason = events.DisownObject, bounded(at.Owners), events.OwnerDeleting
		if at.Gone {
			c.Reason = events.OwnerGone
		}
	case projector.Done:
		c.Do, c.Finalizer, c.Reason = events.FinalizeObject, at.Finalizer, events.Collected
	case projector.Stranded:
		c.Reason = events.NodeGone
	case projector.Doomed:
		// An owner that waits for this one waits for what this one owns too.
		if s.Dependents(it.Ref) > 0 {
			c.Finalizer = metav1.FinalizerDeleteDependents
		}
		c.Reason = events.OwnerDeleting
	case projector.Bereft:
		c.Reason = events.OwnerGone
	}
	return c
}

func bounded(uids []types.UID) []types.UID { return uids[:min(len(uids), maxOwners)] }
