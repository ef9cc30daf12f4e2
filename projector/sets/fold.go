package sets

import (
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// Fold changes Sets. Its owner calls Begin for each event of the log, then
// what the event says, and End.
type Fold struct{ s *Sets }

// Begin is called first for every event, with log time there.
func (f Fold) Begin(seq events.Seq, now time.Time) {
	s := f.s
	s.seq, s.now, s.touched, s.changed = seq, now, s.touched[:0], s.changed[:0]
	s.owners.Begin()
	s.ripen()
	s.endHolds()
}

// Object folds that an object is now so, before it is in the tables.
func (f Fold) Object(e events.Event, i *table.Item) (err error) {
	s := f.s
	switch i.Kind {
	case events.Node:
		s.foldNode(i)
		return nil
	case events.Pod:
		if err = s.foldPod(e, i); err == nil {
			s.found(i.Ref)
		}
		return err
	case events.DaemonSet:
		err = s.foldDaemonSet(e, i.Object)
	case events.ControllerRevision:
		err = s.foldRevision(e, i.Object)
	case events.CustomResourceDefinition:
		if kind, namespaced, ok := table.DefinedBy(i.Data); ok {
			s.owners.Define(kind, namespaced)
		}
	}
	if err == nil {
		s.found(i.Ref)
		s.owners.Put(s.owners.View(i.Ref, i.Data))
	}
	return err
}

// Readable says why an object cannot be folded; nil: it can. It changes nothing.
func (f Fold) Readable(o events.Object) error { return Readable(o, &f.s.words) }

// Readable says why no fold can take an object; nil: any can. words are names that
// objects share.
func Readable(o events.Object, words *wire.Words) (err error) {
	switch o.Kind {
	case events.Pod:
		_, err = viewPod(o.Ref, o.Data, words)
	case events.DaemonSet:
		_, _, err = decodeDaemonSet(o, nil)
	case events.ControllerRevision:
		err = o.Decode(&appsv1.ControllerRevision{})
	}
	return err
}

// Gone folds that an object is gone, before it is taken off the tables.
func (f Fold) Gone(r events.Ref) {
	s := f.s
	s.found(r)
	switch r.Kind {
	case events.Node:
		s.dropNode(r.Key.Name)
		return
	case events.Pod:
		s.dropPod(r.Key)
		return
	case events.DaemonSet:
		s.dropDaemonSet(r.Key)
	case events.ControllerRevision:
		s.dropRevision(r.Key)
		delete(s.revFence, r.Key)
	}
	s.owners.Drop(r.Kind, r.Key)
}

// Plan makes the commands of a plan pending.
func (f Fold) Plan(p *events.Plan) { f.s.foldPlan(p) }

// Hold folds that a hold was placed, also in the place of one of the same name.
func (f Fold) Hold(h events.Hold) error {
	x, err := newHold(h, f.s.seq)
	if err == nil {
		f.s.foldHold(x)
	}
	return err
}

// Charter folds what the log is about from here on. Every DaemonSet is looked at
// anew.
func (f Fold) Charter(c *events.Charter) { f.s.foldCharter(c) }

// Lift folds that a hold was lifted.
func (f Fold) Lift(l events.Lifted) {
	if i, found := f.s.holdAt(l.Owner, l.Name); found {
		f.s.endHold(i, f.s.now)
	}
}

// Outcome folds that a command did nothing.
func (f Fold) Outcome(e events.Event) { f.s.foldOutcome(e) }

// Settle ends the command that an event answers, if it is pending.
func (f Fold) Settle(e events.Event) { f.s.settle(e.Cause, e) }

// End is called last for every event.
func (f Fold) End() { f.s.countChanged() }

// Fence notes that the last event of a subject is one that was not folded: who
// writes there next has to know. ref is what the event would be about.
func (f Fold) Fence(e events.Event, ref events.Ref) {
	s := f.s
	of, key := events.Under(e.Subject)
	switch {
	case of == "plan":
		if key.Namespace == "" {
			key = events.Key{}
		}
		s.fencePlan(key)
	case of == strings.ToLower(string(events.DaemonSet)):
		s.fenceDaemonSet(key)
	case of == strings.ToLower(string(events.ControllerRevision)):
		s.fenceRevision(key)
	case e.Subject != "":
	case e.Type == events.GCPlanned:
		s.fencePlan(events.Key{})
	case e.Type == events.Planned:
		s.fencePlan(ref.Key)
	}
}

// fencePlan notes the fence of the plans of one owner; the zero Key is that of
// the garbage collector.
func (s *Sets) fencePlan(owner events.Key) {
	s.plans[owner] = s.seq
	if owner != (events.Key{}) {
		s.touch(owner)
	}
}

func (s *Sets) fenceDaemonSet(key events.Key) {
	if d := s.sets[key]; d != nil {
		d.Seq = s.seq
		s.miss(d.Ref(), d)
		s.mark(d)
	}
}

func (s *Sets) fenceRevision(key events.Key) {
	if r := s.revisions[key]; r != nil {
		r.Seq = s.seq
		s.reviseOwner(r)
		return
	}
	s.revFence[key] = s.seq
	for _, d := range s.order {
		if d.Key.Namespace == key.Namespace {
			s.mark(d)
		}
	}
}
