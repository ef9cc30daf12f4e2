package sets

import (
	"cmp"
	"math/bits"
	"time"

	"github.com/tidwall/btree"
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

// recount notes that a cell has changed: at the end of the event it is counted
// anew, once, however often the event changed it.
func (s *Sets) recount(c *Cell) {
	if !c.changed {
		c.changed = true
		s.changed = append(s.changed, c)
	}
	s.mark(c.owner)
}

// countChanged counts the cells that the event has changed.
func (s *Sets) countChanged() {
	for _, c := range s.changed {
		c.changed = false
		s.countAt(c, s.now)
	}
}

// countAt takes a changed cell out of the counters and sets of work that it was
// in and puts it where it belongs now. Empty cells of nodes that can have no pod
// are dropped. The change took place at a time, which is when the rollout made
// progress if it is one.
func (s *Sets) countAt(c *Cell, at time.Time) {
	d := c.owner
	before := d.status()
	if c.empty() && (c.Place == Gone || c.Place == Evict && c.Attempts == 0) {
		d.count(c, class{}, s.now)
		delete(d.cells, c.CellKey)
	} else {
		k := d.classify(c, s.now)
		if k.updated && k.ready && !(c.class.updated && c.class.ready) {
			d.Guard.Made = 0
		}
		d.count(c, k, s.now)
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

// count moves c from the counters and sets of work that its class says to those
// of another class. It stays in the sets of both, unless their order depends on
// what differs.
func (d *DaemonSet) count(c *Cell, k class, now time.Time) {
	maturing := k.availableFrom.After(now)
	if k == c.class && maturing == c.maturing {
		return
	}
	stays := k.work & c.class.work
	if k.rank != c.class.rank {
		stays &= 1<<OldBroken - 1
	}
	d.tally(c, -1)
	d.eachWork(c.class.work&^stays, func(t *btree.BTreeG[*Cell]) { t.Delete(c) })
	if c.maturing {
		d.maturing.Delete(c)
	}
	c.class, c.maturing = k, maturing
	if c.maturing {
		d.maturing.Set(c)
	}
	d.eachWork(k.work&^stays, func(t *btree.BTreeG[*Cell]) { t.Set(c) })
	d.tally(c, 1)
}

// eachWork calls f with the sets of work whose bits are set.
func (d *DaemonSet) eachWork(work uint16, f func(*btree.BTreeG[*Cell])) {
	for ; work != 0; work &= work - 1 {
		f(d.work[bits.TrailingZeros16(work)])
	}
}

// tally adds n for every counter that c counts in. One that matures is not
// available.
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
	add(&t.Held, k.held)
	add(&t.HeldAvailable, k.held && k.ready && !c.maturing)
	add(&t.Available, k.ready && !c.maturing && k.desired)
	add(&t.Spare, k.ready && !c.maturing && k.spare)
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
			s.countAt(c, c.class.availableFrom)
			s.mark(d)
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
		s.recount(c)
	}
	s.mark(d)
}
