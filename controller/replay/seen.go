package replay

import (
	"cmp"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// seen is something that rollouts want to know of an event and of the state after
// it. All of it together says what the rollouts of a log are: who has seen a later
// leg of it keeps that, and the rollouts take it when they have come there.
type seen interface{ seenBy(*rollouts) }

// seenSet is a DaemonSet that is there.
type seenSet struct {
	Point
	key               events.Key
	uid               types.UID
	generation        int64
	digest            string // of its template
	rolledOut         int64
	available         int // nodes, by its status
	images            []string
	who, manager, why string
}

func (x *seenSet) seenBy(r *rollouts) { r.daemonSet(x) }

// seenEnd is a DaemonSet that is gone.
type seenEnd struct {
	Point
	key events.Key
}

func (x *seenEnd) seenBy(r *rollouts) { r.forget(x.key, x.Point) }

// seenAnswer is the answer to a command.
type seenAnswer struct{ to events.Cause }

func (x seenAnswer) seenBy(r *rollouts) { r.deleted(x.to) }

// seenPod is a pod of a DaemonSet that is ready, or cannot get so.
type seenPod struct {
	Point
	owner          events.Ref
	uid            types.UID
	node, revision string
	ready          bool
}

func (x *seenPod) seenBy(r *rollouts) { r.pod(x) }

// seenEnding is a pod of a DaemonSet that ends in a cluster that is only recorded, where
// no command tells why.
type seenEnding struct {
	owner    events.Ref
	uid      types.UID
	revision string
}

func (x *seenEnding) seenBy(r *rollouts) { r.ending(x) }

// seenPlan is a plan for a DaemonSet.
type seenPlan struct {
	Point
	*events.Plan
}

func (x *seenPlan) seenBy(r *rollouts) {
	if of := r.sets[x.Owner.Key]; of != nil && of.UID == x.Owner.UID {
		r.plan(of, x.Point, x.Plan)
	}
}

// seenCounts is how a DaemonSet stands that an event has done something to.
type seenCounts struct {
	key                events.Key
	known              bool // it has a revision
	revision           int64
	hash               string
	desired, available int
}

func (x *seenCounts) seenBy(r *rollouts) {
	of := r.sets[x.key]
	if of == nil || of.Ending != "" || x.available < of.listed {
		return
	}
	of.listed = 0
	of.look(x)
}

// see tells of an event as it was folded, with the state after it.
func see(s *projector.State, e events.Event, take func(seen)) {
	at := Point{e.Seq, e.Stored}
	switch b := e.Body.(type) {
	case events.Object:
		if !e.Cause.IsZero() {
			take(seenAnswer{e.Cause})
		}
		switch b.Kind {
		case events.DaemonSet:
			seeSet(s, b.Key, e, take)
		case events.Pod:
			seePod(s, b.Key, at, take)
		}
	case events.Gone:
		if !e.Cause.IsZero() {
			take(seenAnswer{e.Cause})
		}
		if b.Kind == events.DaemonSet {
			take(&seenEnd{at, b.Key})
		}
	case *events.Plan:
		if b.Owner != (events.Ref{}) {
			take(&seenPlan{at, b})
		}
	}
	for _, key := range s.Touched() {
		d := s.DaemonSet(key)
		if d == nil {
			continue
		}
		take(standing(d))
	}
}

// standing tells how a DaemonSet stands.
func standing(d *sets.DaemonSet) *seenCounts {
	x := &seenCounts{key: d.Key, desired: d.Counts.Desired, available: d.Counts.Available}
	if rev := d.CurrentRevision(); rev != nil {
		x.known, x.revision, x.hash = true, rev.Number, rev.Hash
	}
	return x
}

func seeSet(s *projector.State, key events.Key, e events.Event, take func(seen)) {
	d := s.DaemonSet(key)
	if d == nil || d.Seq != e.Seq {
		return // nobody can read it
	}
	ds := d.Object
	take(&seenSet{Point{e.Seq, e.Stored}, d.Key, ds.UID, ds.Generation, d.Digest, rolledOut(ds), int(ds.Status.NumberAvailable), imagesOf(ds),
		e.Actor, e.Manager, cmp.Or(ds.Annotations[changeCause], e.Change)})
}

func seePod(s *projector.State, key events.Key, at Point, take func(seen)) {
	p := s.Pod(key)
	if p == nil || !p.Daemon {
		return
	}
	owner := events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: p.Key.Namespace, Name: p.OwnerName}, UID: p.OwnerUID}
	switch {
	case p.Deleting && watched(s.Charter()):
		take(&seenEnding{owner, p.UID, p.Revision})
		return
	case p.Deleting || !p.Ready && failureOf(p) == "":
		return
	}
	take(&seenPod{at, owner, p.UID, p.Node, p.Revision, p.Ready})
}

// take takes what was seen of an event.
func (r *rollouts) take(x seen) { x.seenBy(r) }

// chronicle follows the rollouts of a log. That of a later leg keeps what it has seen.
type chronicle struct {
	*rollouts // nil: of a later leg
	kept      []seen
	last      map[events.Key]seenCounts // of what is kept; to say the same again says nothing
}

// laterChronicle returns one of a later leg.
func laterChronicle(*projector.State) passer { return &chronicle{last: map[events.Key]seenCounts{}} }

// visit implements passer.
func (c *chronicle) visit() Visit {
	take := c.keep
	if c.rollouts != nil {
		take = c.rollouts.take
	}
	return Visit{After: func(s *projector.State, e events.Event) error {
		see(s, e, take)
		return nil
	}}
}

func (c *chronicle) keep(x seen) {
	switch x := x.(type) {
	case *seenSet:
		delete(c.last, x.key)
	case *seenPlan:
		delete(c.last, x.Owner.Key) // it may begin a wave
	case *seenCounts:
		if c.last[x.key] == *x {
			return
		}
		c.last[x.key] = *x
	}
	c.kept = append(c.kept, x)
}

// goOn implements passer.
func (c *chronicle) goOn(next passer) bool {
	for _, x := range next.(*chronicle).kept {
		c.take(x)
	}
	return true
}
