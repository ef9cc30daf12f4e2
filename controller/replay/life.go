package replay

import (
	"context"

	"rollcall/events"
	"rollcall/projector/story"
)

// Life tells of the facts about an object, of all that had its name: the last of
// them, so many at most, and how many were before. It goes as far as the causes.
func (h *History) Life(ctx context.Context, cs *Causes, about Subject, limit int) (steps []Step, older int, err error) {
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
}

// Tell tells of the event at a position, as far as the causes go.
func (h *History) Tell(ctx context.Context, cs *Causes, seq events.Seq, effects int) (*Told, error) {
	e, err := h.Event(ctx, seq)
	if err != nil {
		return nil, err
	}
	s, err := h.At(ctx, seq-1)
	if err != nil {
		return nil, err
	}
	x := &Told{}
	r := events.RefOf(e)
	was, _, _ := s.Object(r.Kind, r.Key)
	if is, ok := e.Body.(events.Object); ok {
		x.Fields = story.Fields(was, is)
	}
	from, err := h.steps(ctx, cs, cs.Chain(eventLink(seq)))
	if err != nil {
		return nil, err
	}
	x.Step, x.From = from[0], from[1:]
	x.Effects, err = h.Effects(ctx, cs, seq, effects)
	return x, err
}
