package replay

import (
	"context"
	"maps"
	"slices"

	"rollcall/events"
)

// Unsure stands for an event that the causes leave to whoever asks.
const Unsure = unsure

// Reach has h read so many events at first for what one comes from, and look as often
// whether more can come from one.
func (h *History) Reach(n events.Seq) { h.reached, h.looks = n, n }

// CausesUntil returns the causes by which EffectsOf tells of an event.
func (h *History) CausesUntil(ctx context.Context, seq, to events.Seq) (*Causes, error) {
	return h.since(ctx, seq, to)
}

// DiffWhole is Diff with the causes of the whole log.
func (h *History) DiffWhole(ctx context.Context, from, to events.Seq, f Filter) (*Diff, error) {
	s, err := h.At(ctx, max(from, h.before))
	if err != nil {
		return nil, err
	}
	end, err := h.At(ctx, to)
	if err != nil {
		return nil, err
	}
	cs, err := h.Causes(ctx, to)
	if err != nil {
		return nil, err
	}
	d := &Diff{From: from, To: to, Groups: []Group{}}
	if d.Notes, err = h.noted(ctx, cs, cs.meanwhile(from, f)); err != nil {
		return nil, err
	}
	return d, h.group(ctx, d, changesOf(cs, from, objectsOf(s, f), objectsOf(end, f)), func(events.Seq) *Causes { return cs })
}

// CausesOf returns the causes by which WhyAt tells of an event.
func (h *History) CausesOf(ctx context.Context, seq events.Seq) (*Causes, error) {
	return h.reach(ctx, extent{from: seq, to: seq}, eventLink(seq))
}

// Since returns which position causes go back to.
func (c *Causes) Since() events.Seq { return c.first }

// Freed calls visit with what freed each command of each plan that is not the first
// of its owner: as the causes have noted it, and as it is found by deciding again.
func (h *History) Freed(ctx context.Context, cs *Causes, visit func(plan events.Seq, noted, found events.Seq)) error {
	for _, key := range slices.SortedFunc(maps.Keys(cs.plans), events.Key.Compare) {
		if key == (events.Key{}) {
			continue // of the garbage collector
		}
		of := cs.plans[key]
		for i := 1; i < len(of); i++ {
			var basis [2]events.Seq
			var p *events.Plan
			for j := range basis {
				e, err := h.Event(ctx, of[i-1+j])
				if err != nil {
					return err
				}
				p = e.Body.(*events.Plan)
				basis[j] = p.Basis.Seq
			}
			for n, c := range p.Commands {
				w := &window{step: &Step{Seq: of[i], Decision: &Decision{Index: n, Command: c}}, owner: p.Owner, from: basis[0], to: basis[1]}
				noted := cs.freedAt(w.step)
				if _, err := h.look(ctx, nil, w); err != nil {
					return err
				}
				visit(of[i], noted, w.freed)
			}
		}
	}
	return nil
}

// Legs has h pass over a log on so many legs at once that have so many events at
// least.
func (h *History) Legs(abreast int, least events.Seq) { h.abreast, h.leg = abreast, least }

// Met passes over the log up to a position, and returns on how many legs, and how many
// of them have come to where the next begins.
func (h *History) Met(ctx context.Context, to events.Seq) (legs, met int, err error) {
	s, err := h.Begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	all, err := h.legs(ctx, s.Seq(), to)
	if err != nil {
		return 0, 0, err
	}
	all[0].state, all[0].passer = s, laterChronicle(s)
	h.passLegs(ctx, all, laterChronicle)
	for _, l := range all {
		if l.met {
			met++
		}
	}
	return len(all), met, nil
}
