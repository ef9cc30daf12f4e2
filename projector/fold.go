package projector

import (
	"cmp"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
	"rollcall/projector/owners"
	"rollcall/projector/table"
)

// Fold takes one event into s. Events are folded in the order of their log,
// each once. It is total: what cannot be decoded, or is not believed, is
// quarantined with its position. Fold returns the event as it was folded: with
// an Unreadable body if it is quarantined, so that others who follow the log
// pass over the same.
func Fold(s *State, e events.Event) events.Event {
	s.touched = s.touched[:0]
	s.advance(e.Seq, e.Raw)
	e = s.screen.Take(e)
	if _, bad := e.Body.(events.Unreadable); !bad {
		s.clock.tick(&e)
		s.ripen()
	}
	if err := s.foldBody(e); err != nil {
		e.Body = events.Unreadable{Code: "E-EVT-OBJECT", Why: err.Error(), Ref: events.RefOf(e)}
	}
	if b, ok := e.Body.(events.Unreadable); ok {
		s.reject(e, b)
	}
	if !e.Cause.IsZero() {
		s.settle(e.Cause, e)
	}
	s.objects.Advance(e)
	return e
}

func (s *State) foldBody(e events.Event) error {
	switch b := e.Body.(type) {
	case events.Object:
		return s.foldObject(e, b)
	case events.Gone:
		s.foldGone(e, b)
	case *events.Plan:
		s.foldPlan(e, b)
	case events.Outcome:
		s.foldOutcome(e)
	case events.Unreadable:
	default:
		return fmt.Errorf("body %T", e.Body)
	}
	return nil
}

func (s *State) foldObject(e events.Event, o events.Object) (err error) {
	i := &table.Item{Object: o, Rev: uint64(e.Seq)}
	switch o.Kind {
	case events.Node:
		err = s.foldNode(i)
	case events.Pod:
		err = s.foldPod(e, i)
	case events.DaemonSet:
		err = s.foldDaemonSet(e, o)
	case events.ControllerRevision:
		err = s.foldRevision(e, o)
	}
	if err != nil {
		return err
	}
	s.objects.Of(o.Kind).Put(i)
	if o.Kind != events.Node && o.Kind != events.Pod {
		s.owners.Put(owners.View(o.Ref, o.Data))
	}
	return nil
}

func (s *State) foldGone(e events.Event, g events.Gone) {
	switch g.Kind {
	case events.Node:
		s.dropNode(g.Key.Name)
	case events.Pod:
		s.dropPod(g.Key)
	case events.DaemonSet:
		s.dropDaemonSet(g.Key)
		s.owners.Drop(g.Kind, g.Key)
	case events.ControllerRevision:
		s.dropRevision(g.Key)
		s.revGone[g.Key] = e.Seq
		s.owners.Drop(g.Kind, g.Key)
	default:
		s.owners.Drop(g.Kind, g.Key)
	}
	s.objects.Of(g.Kind).Delete(uint64(e.Seq), g.Key)
}

// mark notes that something happened to d.
func (s *State) mark(d *DaemonSet) { s.touch(d.Key) }

// touch notes that something happened to the DaemonSets of a name. Most events
// touch one of them, several times.
func (s *State) touch(k events.Key) {
	if n := len(s.touched); n == 0 || s.touched[n-1] != k {
		s.touched = append(s.touched, k)
	}
}

// recount takes a changed cell out of the counters and sets of work that it
// was in and puts it where it belongs now. Empty cells of nodes that can have
// no pod are dropped.
func (s *State) recount(d *DaemonSet, c *Cell) { s.recountAt(d, c, s.clock.now) }

// recountAt is recount for a change that took place at a time, which is when
// the rollout made progress if it is one.
func (s *State) recountAt(d *DaemonSet, c *Cell, at time.Time) {
	before := d.status()
	d.uncount(c)
	if c.empty() && (c.Place == Gone || c.Place == Evict && c.Attempts == 0) {
		delete(d.cells, c.CellKey)
	} else {
		c.class = d.classify(c, s.clock.now)
		d.count(c, s.clock.now)
		if from := c.class.availableFrom; from.After(s.clock.now) && (s.ripe.IsZero() || from.Before(s.ripe)) {
			s.ripe = from
		}
	}
	if after := d.status(); after != before {
		if after.updated > before.updated || after.available > before.available ||
			after.desired != before.desired || before.complete() {
			d.progressed(at)
		}
	}
	s.mark(d)
}

func (d *DaemonSet) progressed(at time.Time) {
	if at.After(d.Progress) {
		d.Progress = at
	}
}

// progress is what a rollout's progress is told from.
type progress struct{ desired, updated, available int }

func (p progress) complete() bool { return p.updated == p.desired && p.available == p.desired }

func (d *DaemonSet) status() progress {
	return progress{d.Counts.Desired, d.Counts.Updated, d.Counts.Available}
}

func (d *DaemonSet) uncount(c *Cell) {
	d.tally(c, -1)
	for w := range workSets {
		if c.class.in(w) {
			d.work[w].Delete(c)
		}
	}
	d.maturing.Delete(c)
	c.class = class{}
}

// count adds c, whose class is fresh, to counters and sets.
func (d *DaemonSet) count(c *Cell, now time.Time) {
	for w := range workSets {
		if c.class.in(w) {
			d.work[w].Set(c)
		}
	}
	if c.class.availableFrom.After(now) {
		d.maturing.Set(c)
	}
	d.tally(c, 1)
}

// tally adds n for every counter that c's class counts in. A cell that is in
// maturing is not available.
func (d *DaemonSet) tally(c *Cell, n int) {
	k := &c.class
	add := func(counter *int, in bool) {
		if in {
			*counter += n
		}
	}
	t := &d.Counts
	add(&t.Desired, k.desired)
	add(&t.Scheduled, k.scheduled)
	add(&t.Misscheduled, k.misscheduled)
	add(&t.Updated, k.updated)
	add(&t.Ready, k.desired && k.ready)
	add(&t.Surging, k.surging)
	add(&t.Waiting, k.waiting)
	add(&t.Lost, k.lost)
	available := false
	if k.ready {
		_, young := d.maturing.Get(c)
		available = !young
	}
	add(&t.Available, available && k.desired)
	add(&t.Spare, available && k.spare)
}

// ripen moves the cells whose pods became available by log time.
func (s *State) ripen() {
	if s.ripe.IsZero() || s.ripe.After(s.clock.now) {
		return
	}
	s.ripe = time.Time{}
	for _, d := range s.order {
		for {
			c, ok := d.maturing.Min()
			if !ok {
				break
			}
			if from := c.class.availableFrom; from.After(s.clock.now) {
				if s.ripe.IsZero() || from.Before(s.ripe) {
					s.ripe = from
				}
				break
			}
			s.recountAt(d, c, c.class.availableFrom)
		}
	}
}

// foldRevision takes over a ControllerRevision.
func (s *State) foldRevision(e events.Event, o events.Object) error {
	r := &appsv1.ControllerRevision{}
	if err := o.Decode(r); err != nil {
		return err
	}
	old := s.revisions[o.Key]
	delete(s.revGone, o.Key)
	rev := viewRevision(o.Key, r, e.Seq)
	s.setRevision(o.Key, rev)
	if old != nil && old.OwnerUID != rev.OwnerUID {
		s.reviseOwner(old)
	}
	s.reviseOwner(rev)
	return nil
}

func (s *State) dropRevision(k events.Key) {
	old := s.revisions[k]
	s.setRevision(k, nil)
	if old != nil {
		s.reviseOwner(old)
	}
}

// reviseOwner recounts the DaemonSet that owns r; one without an owner, or of
// an owner that the log does not know, may matter to every DaemonSet of the
// namespace.
func (s *State) reviseOwner(r *Revision) {
	d := cmp.Or(s.byUID[r.OwnerUID], s.buried[r.OwnerUID])
	if d != nil && d.Key.Namespace == r.Key.Namespace {
		d = s.owner(d.UID, d.Key)
		s.revise(d)
		s.bury(d)
		return
	}
	for _, d := range s.order {
		if d.Key.Namespace == r.Key.Namespace {
			s.mark(d)
		}
	}
}

// revise looks up the revisions of d again and recounts its cells if which
// pods are current has changed.
func (s *State) revise(d *DaemonSet) {
	if d.setRevisions(s.RevisionsOf(d.Key.Namespace, d.UID)) {
		s.recountAll(d)
	}
	s.mark(d)
}

func (s *State) recountAll(d *DaemonSet) {
	for _, c := range d.AllCells() {
		s.recount(d, c)
	}
	s.mark(d)
}
