package simtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"rollcall/events"
	"rollcall/events/wire"
)

// bridge tells the log what it hears by one watch a kind.
type bridge struct {
	*foreign
	rng     *rand.Rand
	watches map[events.Kind]*ear
}

// ear is how far one kind was heard, and what is heard next, when.
type ear struct {
	rv     uint64
	due    time.Time // of the next change; zero: not drawn yet
	listed []revision
	list   uint64 // the revision of a list that is being read; 0: none is
}

// hear takes what one watch brings by now: behind the world, now and then twice, and
// sometimes nothing more until all is listed again.
func (b *bridge) hear(k events.Kind) {
	w, s := b.watches[k], b.server
	if w.list > 0 { // the second half of a list
		b.list(k, w)
		return
	}
	if !b.calm && b.rng.IntN(150) == 0 { // 410
		b.lists(k)
		half := len(w.listed) / 2
		for _, c := range w.listed[:half] {
			b.tell(c, "kube")
		}
		return
	}
	for _, c := range s.after(k, w.rv) {
		if w.due.IsZero() {
			w.due = c.at.Add(time.Duration(b.rng.Int64N(int64(maxDelay))))
		}
		if w.due.After(s.now) {
			return
		}
		b.tell(c, "kube")
		if b.rng.IntN(10) == 0 {
			b.tell(c, "kube")
		}
		w.rv, w.due = c.rv, time.Time{}
	}
}

// lists has all of a kind listed.
func (b *bridge) lists(k events.Kind) {
	w, s := b.watches[k], b.server
	w.list = s.rv
	for _, key := range s.keys(k) {
		w.listed = append(w.listed, revision{rv: rvOf(s.bytes[objectAt{k, key}].Data), Object: s.bytes[objectAt{k, key}]})
	}
}

// list tells the rest of a list, and what is not in it.
func (b *bridge) list(k events.Kind, w *ear) {
	in := map[events.Key]bool{}
	for _, c := range w.listed {
		in[c.Key] = true
		b.tell(c, "kube")
	}
	for _, key := range laneKeys(b.lanes, k) {
		if l := b.lanes[objectAt{k, key}]; !l.gone && !in[key] && l.rv <= w.list {
			o, _, _ := b.state.Object(k, key)
			o.Data = stamped(o.Data, w.list)
			b.append(events.Event{Type: events.ObjectType(k, events.VerbDeleted), Source: "kube/relist", Body: events.Gone(o)}, l.seq)
		}
	}
	b.gap(k, w.rv, w.list)
	w.rv, w.list, w.listed, w.due = w.list, 0, nil, time.Time{}
}

// gap notes that states between two revisions may be missing.
func (b *bridge) gap(k events.Kind, from, to uint64) {
	data, err := wire.Marshal(events.Relisted{Resource: string(k), From: from, To: to})
	if err != nil {
		panic(err)
	}
	told := &events.Told{Source: events.SourceKube, ID: fmt.Sprintf("%s/%d-%d", k, from, to), Type: events.NoteRelisted, Data: data}
	e := events.Event{ID: events.ToldID(told.Source, told.From, told.ID), Type: events.NoteTold, Source: events.SourceKube, Told: told, Body: events.Note{}}
	if _, err := b.log.Append(context.Background(), events.Entry{Event: e}); err != nil {
		b.bad("append a note: %v", err)
	}
	b.observe()
}

// stamped returns the bytes of an object as of another revision: what was heard of it
// before that is old.
func stamped(data []byte, rv uint64) []byte {
	text, err := wire.Marshal(strconv.FormatUint(rv, 10))
	if err == nil {
		var meta []byte
		if meta, err = wire.With(wire.Field(data, "metadata"), "resourceVersion", text); err == nil {
			data, err = wire.With(data, "metadata", meta)
		}
	}
	if err != nil {
		panic(err)
	}
	return data
}

func laneKeys(lanes map[objectAt]lane, k events.Kind) (keys []events.Key) {
	for p := range lanes {
		if p.kind == k {
			keys = append(keys, p.key)
		}
	}
	slices.SortFunc(keys, events.Key.Compare)
	return keys
}

// tell appends what was heard unless the log has it, or something later.
func (b *bridge) tell(c revision, source string) {
	l, known := b.lanes[objectAt{c.Kind, c.Key}]
	if known && c.rv <= l.rv || c.gone && (!known || l.gone) {
		return
	}
	e := events.Event{Type: events.ObjectType(c.Kind, events.VerbUpdated), Source: source, Manager: c.by, Body: c.Object}
	switch {
	case c.gone:
		e.Type, e.Body = events.ObjectType(c.Kind, events.VerbDeleted), events.Gone(c.Object)
	case !known || l.gone || l.uid != c.UID:
		e.Type = events.ObjectType(c.Kind, events.VerbCreated)
		b.attribute(&e, c)
	}
	b.append(e, l.seq)
}

func (b *bridge) append(e events.Event, last events.Seq) {
	r := events.RefOf(e)
	if e.Cause.IsZero() {
		e.ID = b.id()
	}
	if _, err := b.log.Append(context.Background(), events.Entry{Event: e, Expect: events.Expect{Subject: b.subjects.Object(r.Kind, r.Key), Last: last}}); err != nil {
		b.bad("append %s of %s: %v", e.Type, r, err)
	}
	b.observe() // each bridge knows the log before it tells more
}
