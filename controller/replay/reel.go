package replay

import (
	"context"
	"slices"
	"time"

	"rollcall/controller/condition"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
	"rollcall/projector/story"
	"rollcall/projector/table"
)

// Frame is one event of a history that is played again: what it says, what has
// changed with it, and what was decided on it.
type Frame struct {
	Replay bool `json:"replay"` // true: it has happened, and nothing happens now
	Step
	Fields    []story.Field `json:"fields,omitempty"` // of its object, before and after
	Counts    []Recount     `json:"counts,omitempty"` // of DaemonSets
	Decisions []FramePlan   `json:"decisions"`        // the plans whose basis is the event; empty: nothing was decided on it
}

// Recount is how the counters of a DaemonSet have changed.
type Recount struct {
	DaemonSet events.Key  `json:"daemonSet"`
	Before    sets.Counts `json:"before"`
	After     sets.Counts `json:"after"`
}

// FramePlan is a plan of the log.
type FramePlan struct {
	Seq      events.Seq         `json:"seq"`
	Owner    string             `json:"owner,omitempty"` // empty: the garbage collector
	Commands []events.Command   `json:"commands"`
	Held     []events.WaitCount `json:"held,omitempty"`
	Waiting  []events.Wait      `json:"waiting,omitempty"` // of those the first, by node
}

// Reel plays a history again, forwards and backwards. It has no way to append
// anything, nor to carry anything out. It has one user at a time.
type Reel struct {
	h       *History
	plans   map[events.Seq][]recorded // by basis
	decided []events.Seq              // those bases, in order
	s       *projector.State          // after the event of the frame
	event   events.Event              // of the frame, as it was folded
	ahead   []events.Event            // that were read and may be asked for next
	behind  memoryKeyframe            // a little before the frame, to go back from
}

// Bounds of a reel.
const (
	reelAhead  = 256  // events that are read at once
	reelBehind = 1000 // events between a frame that is gone to and the state that is kept to go back
)

// Reel returns the history to be played. It reads the log once, for its plans.
func (h *History) Reel(ctx context.Context) (*Reel, error) {
	r := &Reel{h: h, plans: map[events.Seq][]recorded{}}
	s, err := h.Begin(ctx)
	if err != nil {
		return nil, err
	}
	screen, err := s.Screen()
	if err != nil {
		return nil, err
	}
	for e, err := range h.rest(ctx, h.before) {
		if err != nil {
			return nil, err
		}
		if p, ok := screen.Take(e).Body.(*events.Plan); ok {
			r.plans[p.Basis.Seq] = append(r.plans[p.Basis.Seq], recorded{e.Seq, p})
			r.decided = append(r.decided, p.Basis.Seq)
		}
	}
	slices.Sort(r.decided)
	r.decided = slices.Compact(r.decided)
	return r, nil
}

// State returns the state after the event of the last frame.
func (r *Reel) State() *projector.State { return r.s }

// Span returns what can be played.
func (r *Reel) Span() Span { return r.h.span }

// Decided returns the events on which something was decided, in their order.
func (r *Reel) Decided() []events.Seq { return r.decided }

// Waves returns the events on which a wave of a rollout was decided, in their
// order. It folds the history.
func (r *Reel) Waves(ctx context.Context) (seqs []events.Seq, err error) {
	all, err := r.h.Rollouts(ctx, r.h.span.Last)
	if err != nil {
		return nil, err
	}
	waves := map[events.Seq]bool{}
	for _, x := range all {
		for _, w := range x.Waves {
			waves[w.Seq] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(r.decided), func(basis events.Seq) bool {
		return !slices.ContainsFunc(r.plans[basis], func(p recorded) bool { return waves[p.seq] })
	}), nil
}

// Frame goes to the event at a position.
func (r *Reel) Frame(ctx context.Context, seq events.Seq) (*Frame, error) {
	if err := r.h.holds(seq); err != nil {
		return nil, err
	}
	if err := r.to(ctx, seq-1); err != nil {
		return nil, err
	}
	e, err := r.read(ctx, seq)
	if err != nil {
		return nil, err
	}
	f := &Frame{Replay: true, Decisions: []FramePlan{}}
	ref := events.RefOf(e)
	was, _, _ := r.s.Object(ref.Kind, ref.Key)
	before := map[events.Key]sets.Counts{}
	for _, ds := range r.s.DaemonSets() {
		before[ds.Key] = ds.Counts
	}
	r.event = projector.Fold(r.s, e)
	if r.h.frames != nil {
		if err := r.h.frames.Add(ctx, r.s); err != nil {
			return nil, err
		}
	}
	for _, key := range r.s.Touched() {
		if ds := r.s.DaemonSet(key); ds != nil && ds.Counts != before[key] {
			f.Counts = append(f.Counts, Recount{key, before[key], ds.Counts})
		}
	}
	f.Step = stepOf(eventLink(seq), r.event, events.Event{Body: was})
	f.Fields = fieldsOf(was, r.event)
	for _, p := range r.plans[seq] {
		d := FramePlan{Seq: p.seq, Owner: story.Name(p.plan.Owner), Commands: p.plan.Commands, Held: p.plan.Held, Waiting: p.plan.Waits()}
		f.Decisions = append(f.Decisions, d)
	}
	return f, nil
}

// fieldsOf returns what an event has changed of its object, but for what changes
// with every write.
func fieldsOf(was events.Object, e events.Event) []story.Field {
	is, ok := e.Body.(events.Object)
	if !ok {
		return nil
	}
	if was.UID != is.UID {
		was = events.Object{}
	}
	return slices.DeleteFunc(story.Fields(was, is), func(f story.Field) bool {
		return f.In("metadata.managedFields") || f.In("metadata.resourceVersion")
	})
}

// to makes the state that after a position.
func (r *Reel) to(ctx context.Context, seq events.Seq) (err error) {
	if r.s == nil || r.s.Seq() > seq {
		if err := r.back(ctx, seq); err != nil {
			return err
		}
	}
	if rest := seq - r.s.Seq(); rest > reelBehind {
		if r.s, err = r.h.forward(ctx, r.s, seq-reelBehind, Visit{}); err != nil {
			return err
		}
		if err := r.keep(); err != nil {
			return err
		}
	}
	for r.s.Seq() < seq {
		e, err := r.read(ctx, r.s.Seq()+1)
		if err != nil {
			return err
		}
		projector.Fold(r.s, e)
	}
	return nil
}

// back makes the state one at or before a position.
func (r *Reel) back(ctx context.Context, seq events.Seq) (err error) {
	if r.behind.data != nil && r.behind.seq <= seq {
		r.s, err = projector.ReadKeyframe(r.behind.data, r.h.id, table.New(table.History{}))
		return err
	}
	r.s, err = r.h.nearest(ctx, max(seq, r.h.before))
	return err
}

// keep keeps the state, to go back from.
func (r *Reel) keep() (err error) {
	r.behind.seq = r.s.Seq()
	r.behind.data, err = r.s.Keyframe()
	return err
}

// read returns an event, and reads those behind it.
func (r *Reel) read(ctx context.Context, seq events.Seq) (events.Event, error) {
	if len(r.ahead) == 0 || seq < r.ahead[0].Seq || seq > r.ahead[len(r.ahead)-1].Seq {
		r.ahead = r.ahead[:0]
		for e, err := range r.h.log.Read(ctx, seq-1) {
			if err != nil {
				return events.Event{}, err
			}
			if r.ahead = append(r.ahead, e); len(r.ahead) == reelAhead || e.Seq >= r.h.span.Last {
				break
			}
		}
	}
	return r.ahead[seq-r.ahead[0].Seq], nil
}

// Play shows the frames from one position to another, in their order. With a
// condition it ends at the first event at which that is true, and reports whether
// there is one.
func (r *Reel) Play(ctx context.Context, from, to events.Seq, until *condition.Condition, show func(*Frame) error) (met bool, err error) {
	if err := r.to(ctx, from-1); err != nil {
		return false, err
	}
	var w *condition.World
	if until != nil {
		if w, err = until.Begin(r.s); err != nil {
			return false, err
		}
	}
	vague := true
	for seq := from; seq <= to; seq++ {
		f, err := r.Frame(ctx, seq)
		if err != nil {
			return false, err
		}
		if w != nil {
			known := false
			if met, known, err = w.Take(ctx, r.s, r.event); err != nil {
				return false, err
			}
			vague = vague && !known
		}
		if err := show(f); err != nil || met {
			return met, err
		}
	}
	if until != nil && vague {
		return false, noValue(until)
	}
	return false, nil
}

// Time returns when the event at a position was stored.
func (r *Reel) Time(ctx context.Context, seq events.Seq) (time.Time, error) {
	if err := r.h.holds(seq); err != nil {
		return time.Time{}, err
	}
	e, err := r.read(ctx, seq)
	return e.Stored, err
}
