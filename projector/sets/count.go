package sets

import (
	"cmp"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
)

// mark notes that something happened to d.
func (s *Sets) mark(d *DaemonSet) { s.touch(d.Key) }

// touch notes that something happened to the DaemonSets of a name. Most events
// touch one of them, several times.
func (s *Sets) touch(k events.Key) {
	if n := len(s.touched); n == 0 || s.touched[n-1] != k {
		s.touched = append(s.touched, k)
	}
}

// recount takes a changed cell out of the counters and sets of work that it
// was in and puts it where it belongs now. Empty cells of nodes that can have
// no pod are dropped.
func (s *Sets) recount(d *DaemonSet, c *Cell) { s.recountAt(d, c, s.now) }

// recountAt is recount for a change that took place at a time, which is when
// the rollout made progress if it is one.
func (s *Sets) recountAt(d *DaemonSet, c *Cell, at time.Time) {
	if n := len(s.recounted); n == 0 || s.recounted[n-1] != c {
		s.recounted = append(s.recounted, c)
	}
	before := d.status()
	d.uncount(c)
	if c.empty() && (c.Place == Gone || c.Place == Evict && c.Attempts == 0) {
		delete(d.cells, c.CellKey)
	} else {
		c.class = d.classify(c, s.now)
		d.count(c, s.now)
		if from := c.class.availableFrom; from.After(s.now) && (s.ripe.IsZero() || from.Before(s.ripe)) {
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
func (s *Sets) ripen() {
	if s.ripe.IsZero() || s.ripe.After(s.now) {
		return
	}
	s.ripe = time.Time{}
	for _, d := range s.order {
		for {
			c, ok := d.maturing.Min()
			if !ok {
				break
			}
			if from := c.class.availableFrom; from.After(s.now) {
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
func (s *Sets) foldRevision(e events.Event, o events.Object) error {
	r := &appsv1.ControllerRevision{}
	if err := o.Decode(r); err != nil {
		return err
	}
	old := s.revisions[o.Key]
	delete(s.revFence, o.Key)
	rev := viewRevision(o.Key, r, e.Seq)
	s.setRevision(o.Key, rev)
	if old != nil && old.OwnerUID != rev.OwnerUID {
		s.reviseOwner(old)
	}
	s.reviseOwner(rev)
	return nil
}

func (s *Sets) dropRevision(k events.Key) {
	old := s.revisions[k]
	s.setRevision(k, nil)
	if old != nil {
		s.reviseOwner(old)
	}
}

// reviseOwner recounts the DaemonSet that owns r; one without an owner, or of
// an owner that the log does not know, may matter to every DaemonSet of the
// namespace.
func (s *Sets) reviseOwner(r *Revision) {
	d := cmp.Or(s.byUID[r.OwnerUID], s.tombstones[r.OwnerUID])
	if d != nil && d.Key.Namespace == r.Key.Namespace {
		d = s.owner(d.UID, d.Key)
		s.revise(d)
		s.forgetSet(d)
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
func (s *Sets) revise(d *DaemonSet) {
	if d.setRevisions(s.RevisionsOf(d.Key.Namespace, d.UID)) {
		s.recountAll(d)
	}
	s.mark(d)
}

func (s *Sets) recountAll(d *DaemonSet) {
	for _, c := range d.AllCells() {
		s.recount(d, c)
	}
	s.mark(d)
}
