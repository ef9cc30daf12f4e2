package replay

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
)

// life is where the facts about a name are.
type life struct {
	uid   types.UID // of the last incarnation
	gone  bool      // it is gone
	born  int       // index of its first fact
	facts []events.Seq
	ends  []events.Seq // those of them that say that it is gone
	told  events.Seq   // the last of its facts that the controller has not written
}

// newFacts returns what notes where the facts of a log are that begins with a
// position, and nothing else.
func newFacts(first events.Seq) *tracker {
	return &tracker{out: &Causes{first: first, kept: map[place]events.Object{}, objects: map[place]*life{}, ending: map[types.UID]Link{},
		passed: map[events.Seq]events.Unreadable{}, certain: map[events.Seq]bool{}, about: map[place][]events.Seq{}}, named: map[events.Key][]events.Ref{}}
}

// know takes over what a state says of the objects and the holds that there are.
func (t *tracker) know(s *projector.State) {
	t.out.kept = objectsOf(s, Filter{})
	for _, kind := range s.Kinds() {
		for _, o := range s.List(kind, "") {
			_, last, _ := s.Object(kind, o.Key)
			t.note(events.Event{Seq: last, Body: o})
		}
	}
	for _, h := range s.Holds() {
		t.named[h.Ref().Key] = namedBy(h.Hold)
	}
}

// aboutOf returns where the object is that an event is about.
func aboutOf(e events.Event) place {
	r := events.RefOf(e)
	return place{r.Kind, r.Key}
}

// lastFact returns where the last fact about an object is; 0: there is none.
func (t *tracker) lastFact(p place) events.Seq {
	if l := t.out.objects[p]; l != nil {
		return l.facts[len(l.facts)-1]
	}
	return 0
}

// note keeps where facts are and what was told, and which objects are being deleted.
func (t *tracker) note(e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		t.fact(e, b.Ref, false)
		if _, known := t.out.ending[b.UID]; !known && len(wire.Field(wire.Field(b.Data, "metadata"), "deletionTimestamp")) > 1 {
			t.out.ending[b.UID] = eventLink(e.Seq)
		}
	case events.Gone:
		t.fact(e, b.Ref, true)
		delete(t.out.ending, b.UID)
	case events.Charter:
		t.fact(e, b.Ref(), false)
	case events.Unreadable:
		t.out.passed[e.Seq] = b
	case events.Note:
		t.out.hears(e.Seq, b.Objects)
	case events.Hold:
		t.named[b.Ref().Key] = namedBy(b)
		t.out.hears(e.Seq, t.named[b.Ref().Key])
	case events.Lifted:
		t.out.hears(e.Seq, append(t.named[b.Ref().Key], b.Ref()))
		delete(t.named, b.Ref().Key)
	}
}

func (t *tracker) fact(e events.Event, r events.Ref, gone bool) {
	p := place{r.Kind, r.Key}
	l := t.out.objects[p]
	if l == nil {
		l = &life{}
		t.out.objects[p] = l
	}
	if l.uid != r.UID || l.gone && !gone {
		l.uid, l.born = r.UID, len(l.facts)
	}
	l.gone, l.facts = gone, append(l.facts, e.Seq)
	if gone {
		l.ends = append(l.ends, e.Seq)
	}
	if e.Source != controller.Source {
		l.told = e.Seq
	}
}

// facts returns causes that know after a state where the facts about all objects
// are, and all notes, and that tell of each event whether it comes from nothing in
// the log, and of no other what it comes from. Nobody may use the state any more.
func (h *History) facts(ctx context.Context, s *projector.State, to events.Seq) (*Causes, error) {
	t := newFacts(s.Seq() + 1)
	t.know(s)
	return t.out, h.skim(ctx, s, to, func(_ *projector.State, e events.Event) error {
		t.out.of = append(t.out.of, Link{})
		t.out.alone = append(t.out.alone, alone(e))
		t.out.tells(e)
		t.note(e)
		return nil
	})
}

// alone reports whether an event comes from nothing in its log, as it says itself.
func alone(e events.Event) bool {
	_, gone := e.Body.(events.Gone)
	return !gone && e.Cause.IsZero() && (e.Source != controller.Source || e.Actor != "")
}
