package replay

import (
	"context"

	"rollcall/events"
	"rollcall/projector/story"
)

// Life tells of the facts about an object up to a position, of all that had its
// name: the last of them, so many at most, and how many were before.
func (h *History) Life(ctx context.Context, at events.Seq, about Subject, limit int) (steps []Step, older int, err error) {
	cs, err := h.factsOf(ctx, at, about)
	if err != nil {
		return nil, 0, err
	}
	l := cs.objects[place{about.Kind, about.Key}]
	if l == nil {
		return nil, 0, notFound(about)
	}
	var links []Link
	for _, seq := range l.facts {
		if !cs.before(seq) {
			links = append(links, eventLink(seq))
		}
	}
	older = max(0, len(links)-limit)
	steps, err = h.steps(ctx, cs, links[older:])
	return steps, older, err
}

// Told is one event with what it has changed, what it comes from and what it has
// led to.
type Told struct {
	Step
	Fields  []story.Field `json:"fields,omitempty"` // of its object, before and after
	From    []Step        `json:"from"`             // what it comes from, and so on to what came from outside
	Effects *Effects      `json:"effects"`
	Parents []int         `json:"parents"` // of each step of the effects the one that it comes from; -1: the event
	Upto    events.Seq    `json:"upto"`    // how far its effects were followed
}

// Tell tells of the event at a position, and of its effects up to another, so many
// of them one by one. Of the log it reads what these go through.
func (h *History) Tell(ctx context.Context, seq, to events.Seq, effects int) (*Told, error) {
	e, err := h.Event(ctx, seq)
	if err != nil {
		return nil, err
	}
	s, err := h.At(ctx, seq-1)
	if err != nil {
		return nil, err
	}
	x := &Told{Upto: to}
	r := events.RefOf(e)
	was, _, _ := s.Object(r.Kind, r.Key)
	if is, ok := e.Body.(events.Object); ok {
		x.Fields = story.Fields(was, is)
	}
	cs, err := h.reach(ctx, extent{from: seq, to: seq}, eventLink(seq))
	if err != nil {
		return nil, err
	}
	from, err := h.steps(ctx, cs, cs.Chain(eventLink(seq)))
	if err != nil {
		return nil, err
	}
	x.Step, x.From = from[0], from[1:]
	if cs, err = h.since(ctx, seq, to); err != nil {
		return nil, err
	}
	if x.Effects, err = h.Effects(ctx, cs, seq, effects); err != nil {
		return nil, err
	}
	x.Parents = []int{}
	at := map[Link]int{}
	for i, l := range x.Effects.links[:len(x.Effects.Steps)] {
		at[l] = i
		of, told := at[cs.Of(l)]
		if !told {
			of = -1
		}
		x.Parents = append(x.Parents, of)
	}
	return x, nil
}
