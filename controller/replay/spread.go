package replay

import (
	"context"
	"errors"
	"maps"

	"rollcall/events"
	"rollcall/projector"
)

// spread follows what comes from an event, and sees when nothing more can.
type spread struct {
	*tracker
	reached  map[Link]bool         // the event, and what comes from it
	commands map[events.Cause]bool // of those the commands without an answer
}

// spreadLook is after how many events it is looked whether more can come.
const spreadLook = 1000

// since returns what comes from what after an event and up to a position, or up to
// where nothing that follows can come from the event any more.
func (h *History) since(ctx context.Context, seq, to events.Seq) (*Causes, error) {
	s, err := h.nearest(ctx, seq-1)
	if err != nil {
		return nil, err
	}
	x := spread{newTracker(s), map[Link]bool{eventLink(seq): true}, map[events.Cause]bool{}}
	err = h.pass(ctx, s, to, Visit{After: func(s *projector.State, e events.Event) error {
		if err := x.after(s, e); err != nil || e.Seq < seq {
			return err
		}
		x.take(e)
		if e.Seq%h.looks == 0 && !x.open() {
			return errFound
		}
		return nil
	}})
	if err != nil && !errors.Is(err, errFound) {
		return nil, err
	}
	return x.out, nil
}

// take takes an event whose cause is known.
func (x *spread) take(e events.Event) {
	l := eventLink(e.Seq)
	whole := x.reached[l] // a plan is all of its commands
	if x.reached[x.out.Of(l)] {
		x.reached[l] = true
	}
	for i, of := range x.out.reasons[e.Seq] {
		if whole || x.reached[of] {
			x.reached[Link{e.Seq, i}] = true
			x.commands[events.Cause{Seq: e.Seq, Index: i}] = true
		}
	}
	delete(x.commands, e.Cause)
}

// open reports whether what follows may come from what was reached: a command has no
// answer, an object is being deleted, or something is called for, or was and may be
// told of yet, since then. That takes no order: one is enough.
func (x *spread) open() bool {
	if len(x.commands) > 0 || openCalls(x.reached, x.cells) || openCalls(x.reached, x.releases) || openCalls(x.reached, x.garbage) {
		return true
	}
	for l := range maps.Values(x.out.ending) {
		if x.reached[l] {
			return true
		}
	}
	for w, ss := range maps.All(x.writes) {
		fence := x.lastFact(place{w.kind, w.key})
		for _, s := range ss {
			if x.reached[s.since] && (s.until == 0 || s.until > fence) {
				return true
			}
		}
	}
	for c := range maps.Values(x.counted) {
		for _, s := range c.spells {
			if x.reached[s.since] {
				return true
			}
		}
	}
	return false
}

func openCalls[K comparable](reached map[Link]bool, m map[K]calls) bool {
	for cs := range maps.Values(m) {
		for _, c := range cs {
			if reached[c.since] {
				return true
			}
		}
	}
	return false
}
