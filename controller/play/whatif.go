package play

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/publisher/simkubelet"
)

// Question is what is to be otherwise than it was. The zero Question changes
// nothing.
type Question struct {
	Sets    []Set
	Without []events.Seq // events from outside that do not happen
	Inserts []Insert     // what somebody writes besides, in the order of their instants
	// From is the first position that is not as recorded, whatever changes, and
	// from where on Sets hold; 0: they always do, and what is recorded ends before
	// the first event that the question touches.
	From events.Seq
	// Longer is how long at most the model goes on after the end of what was
	// recorded, to see the end of rollouts.
	Longer time.Duration
}

// WhatIf answers questions to a history.
type WhatIf struct {
	Delays Delays     // that the history shows
	Fork   events.Seq // the first position of the model; one more than the last: nothing is touched
	// Recorded is the history, as far as it went when it was first read.
	Recorded replay.Log

	subjects events.Subjects
	question Question
	id       string // of the log
	before   events.Seq
	begin    []byte // the state that the log begins with, as a keyframe; nil: there is nothing
	end      time.Time
	played   func(events.Event) // told of every event of a run; nil: nobody is
}

// upTo is a log up to a position: that of an instance which runs goes on.
type upTo struct {
	replay.Log
	last events.Seq
}

// Read implements events.Reader.
func (l upTo) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		if after >= l.last {
			return
		}
		for e, err := range l.Log.Read(ctx, after) {
			if !yield(e, err) || err != nil || e.Seq >= l.last {
				return
			}
		}
	}
}

// Begin implements replay.Beginner.
func (l upTo) Begin(ctx context.Context) (*projector.State, error) { return replay.Begin(ctx, l.Log) }

// NewWhatIf reads a history for the delays that it shows and for what a question
// touches.
func NewWhatIf(ctx context.Context, log replay.Log, s events.Subjects, q Question) (*WhatIf, error) {
	if err := contradicts(q.Sets); err != nil {
		return nil, refuseSet(err)
	}
	info, err := log.Info(ctx)
	if err != nil {
		return nil, err
	}
	log = upTo{log, info.Last}
	w := &WhatIf{Recorded: log, subjects: s, question: q, id: info.ID, Fork: info.Last + 1}
	if q.From > 0 {
		w.Fork = min(w.Fork, q.From)
	}
	without := map[events.Seq]bool{}
	for _, seq := range q.Without {
		without[seq], w.Fork = true, min(w.Fork, seq)
	}
	for _, i := range q.Inserts {
		w.Fork = min(w.Fork, i.At.Seq+1)
	}
	st, err := replay.Begin(ctx, log)
	if err != nil {
		return nil, err
	}
	if st.Seq() > 0 {
		if w.begin, err = st.Keyframe(); err != nil {
			return nil, err
		}
	}
	w.before = st.Seq()
	if err := within(q.Without, w.before+1, info.Last); err != nil {
		return nil, err
	}
	for e, err := range log.Read(ctx, w.before) {
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		if e = projector.Fold(st, e); without[e.Seq] && !external(e) {
			return nil, &events.Error{Code: "E-WHATIF-EVENT", What: fmt.Sprintf("#%d cannot be left out", e.Seq), Why: "it follows from others: what does not follow comes from outside",
				Do: "name the event that it comes from: rollcall why tells", Exit: events.ExitInput}
		}
		w.Delays.Take(st, e)
		w.end = e.Stored
		if e.Seq < w.Fork && q.From == 0 {
			if _, touched, err := q.apply(e); err != nil {
				return nil, refuseSet(err)
			} else if touched {
				w.Fork = e.Seq
			}
		}
	}
	for _, x := range q.Sets {
		if st.DaemonSet(x.DaemonSet) == nil && len(st.DeletedSets(x.DaemonSet)) == 0 {
			return nil, refuseSet(fmt.Errorf("%s: the log does not tell of that DaemonSet", x))
		}
	}
	return w, nil
}

func refuseSet(err error) error {
	return &events.Error{Code: "E-WHATIF-SET", What: "the field cannot be set", Why: err.Error(), Do: "write ds/NAMESPACE/NAME.FIELD=VALUE, as rollcall whatif --help has it", Exit: events.ExitInput}
}

// apply gives a fact from outside about a DaemonSet what is set.
func (q *Question) apply(e events.Event) (_ events.Object, touched bool, err error) {
	o, ok := e.Body.(events.Object)
	if !ok || o.Kind != events.DaemonSet || !external(e) {
		return o, false, nil
	}
	for _, x := range q.Sets {
		if x.DaemonSet != o.Key {
			continue
		}
		var changed bool
		if o, changed, err = x.apply(o); err != nil {
			return o, false, err
		}
		touched = touched || changed
	}
	return o, touched, nil
}

// own are the sources of what the parties of a cluster say themselves.
var own = map[string]bool{controller.Source: true, "executor": true, "kubelet": true}

// external reports whether an event is a fact from outside, or told.
func external(e events.Event) bool {
	switch e.Body.(type) {
	case events.Hold, events.Lifted, events.Note, events.Charter:
		return true
	case events.Object, events.Gone:
		return e.Cause == (events.Cause{}) && !own[e.Source]
	}
	return false
}

// Played is what a history would have become.
type Played struct {
	Log     replay.Log
	Applied int // events from outside that happened in the model as well
	Skipped int // those whose object is not there in the model

	Inserted int // objects that somebody has written besides
}

// modelLog is the log of a model. It begins with what the record begins with.
type modelLog struct {
	*memlog.Log
	recorded replay.Log
}

// Begin implements replay.Beginner.
func (l modelLog) Begin(ctx context.Context) (*projector.State, error) {
	return replay.Begin(ctx, l.recorded)
}

// modelIDs are the first ids of events that only the model has: a recording that a
// Cluster has made has those from 0 on, and the log takes each id once.
const modelIDs = 1 << 32

// playing is one run.
type playing struct {
	*WhatIf
	*Cluster
	Played
	recorded map[objectKey]events.Object // as it was, at the event at hand
	inserts  []Insert                    // that are to come
}

type objectKey struct {
	kind events.Kind
	key  events.Key
}

// Play runs the parties from the fork on. Another seed draws other delays.
func (w *WhatIf) Play(ctx context.Context, seed int64) (Played, error) {
	o := simkubelet.DefaultOptions()
	o.Seed = seed
	o.Took = func(what string, p *corev1.Pod) (time.Duration, bool) { return w.Delays.Draw(seed, what, p) }
	c, err := w.cluster(o)
	if err != nil {
		return Played{}, err
	}
	p := &playing{WhatIf: w, Cluster: c, recorded: map[objectKey]events.Object{}, inserts: w.question.Inserts}
	c.watch = w.played
	p.Played.Log, p.ids = modelLog{p.Cluster.Log, w.Recorded}, modelIDs
	without := map[events.Seq]bool{}
	for _, seq := range w.question.Without {
		without[seq] = true
	}
	screen := events.NewScreen()
	p.remember()
	for e, err := range w.Recorded.Read(ctx, w.before) {
		if err != nil {
			return p.Played, fmt.Errorf("read the history: %w", err)
		}
		if err := p.insert(ctx, e); err != nil {
			return p.Played, err
		}
		raw := e
		e = screen.Take(e)
		if e.Seq == w.Fork && w.question.From > 0 {
			if err := p.setNow(ctx); err != nil {
				return p.Played, err
			}
		}
		switch {
		case e.Seq < w.Fork:
			p.Copy(raw)
		case external(e) && !without[e.Seq]:
			if err := p.Run(ctx, e.Stored.Add(-tick)); err != nil {
				return p.Played, err
			}
			if err := p.feed(ctx, e); err != nil {
				return p.Played, err
			}
		}
		p.note(e)
	}
	if err := p.insert(ctx, events.Event{Seq: math.MaxUint64}); err != nil {
		return p.Played, err
	}
	return p.Played, p.finish(ctx)
}

// insert writes what belongs before an event of the record.
func (p *playing) insert(ctx context.Context, next events.Event) error {
	for len(p.inserts) > 0 && p.inserts[0].At.Seq < next.Seq {
		i := p.inserts[0]
		p.inserts = p.inserts[1:]
		at := i.At.Now
		if last := next.Stored.Add(-tick); next.Raw != nil && last.Before(at) {
			at = last
		}
		if err := p.Run(ctx, at); err != nil {
			return err
		}
		written, err := p.write(ctx, i.Intent)
		if err != nil {
			return err
		}
		if written {
			p.Inserted++
		} else {
			p.Skipped++
		}
	}
	return nil
}

// cluster returns the cluster as it was before the first event of the log.
func (w *WhatIf) cluster(o simkubelet.Options) (*Cluster, error) {
	if w.begin == nil {
		return New(w.subjects, w.id, time.Time{}, o), nil
	}
	return (&Foresight{subjects: w.subjects, keyframe: w.begin}).cluster(o)
}

// remember notes how the objects are recorded that the log begins with.
func (p *playing) remember() {
	for _, kind := range p.State.Kinds() {
		for _, o := range p.State.List(kind, "") {
			p.recorded[objectKey{kind, o.Key}] = o
		}
	}
}

// note remembers how an object was recorded.
func (p *playing) note(e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		p.recorded[objectKey{b.Kind, b.Key}] = b
	case events.Gone:
		delete(p.recorded, objectKey{b.Kind, b.Key})
	}
}

// feed has an event from outside happen.
func (p *playing) feed(ctx context.Context, e events.Event) error {
	if err := p.Observe(ctx); err != nil {
		return err
	}
	r := events.RefOf(e)
	switch e.Body.(type) {
	case events.Hold, events.Lifted, events.Note, events.Charter: // which are about no object that has to be there
		p.Applied++
		return p.append(ctx, e)
	}
	now, _, is := p.State.Object(r.Kind, r.Key)
	was, known := p.recorded[objectKey{r.Kind, r.Key}]
	known = known && was.UID == r.UID
	is = is && (now.UID == r.UID || !known)
	if is != known {
		p.Skipped++
		return nil
	}
	if o, ok := e.Body.(events.Object); ok {
		if known {
			var err error
			if o, err = rebase(now, was, o); err != nil {
				return err
			}
		}
		e.Body = o
		set, _, err := p.question.apply(e)
		if err != nil {
			return refuseSet(err)
		}
		if o.Kind == events.DaemonSet {
			e.Body = set
		}
	}
	p.Applied++
	return p.append(ctx, e)
}

func (p *playing) append(ctx context.Context, e events.Event) error {
	_, err := p.Cluster.Log.Append(ctx, events.Entry{Event: events.Event{ID: e.ID, Type: e.Type, Source: e.Source, Actor: e.Actor, Verb: e.Verb, Manager: e.Manager,
		Change: e.Change, At: e.At, Told: e.Told, Body: e.Body}})
	return err
}

// setNow has the DaemonSets become what is set, where the question says from when.
func (p *playing) setNow(ctx context.Context) error {
	done := map[events.Key]bool{}
	for _, x := range p.question.Sets {
		now, _, ok := p.State.Object(events.DaemonSet, x.DaemonSet)
		if !ok || done[x.DaemonSet] {
			continue
		}
		done[x.DaemonSet] = true
		e := events.Event{ID: p.ID(), Type: events.ObjectType(events.DaemonSet, events.VerbUpdated), Source: "what-if", Actor: "what-if", Verb: "patch", Change: "what is asked", At: p.Now(), Body: now}
		set, touched, err := p.question.apply(e)
		if err != nil {
			return refuseSet(err)
		}
		if !touched {
			continue
		}
		if set, err = rebase(now, now, set); err != nil {
			return err
		}
		e.Body = set
		if err := p.append(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// finish goes on until the end of what was recorded, and then until all rollouts
// have ended.
func (p *playing) finish(ctx context.Context) error {
	if err := p.Run(ctx, p.end); err != nil {
		return err
	}
	return p.Settle(ctx, p.Now().Add(p.question.Longer))
}
