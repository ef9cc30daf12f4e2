package replay

import (
	"context"
	"errors"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
)

// Steps tells of the events after a position that pass a filter, as what they
// change, until there are so many or the end is reached. Its last result is how far
// it has looked.
func (h *History) Steps(ctx context.Context, f story.Filter, after, to events.Seq, limit int) ([]Step, events.Seq, error) {
	all, looked := []Step{}, after
	var was events.Event // the fact before about the object of the event
	err := h.Walk(ctx, after, to, Visit{
		Before: func(s *projector.State, e events.Event) error {
			r := events.RefOf(e)
			o, last, _ := s.Object(r.Kind, r.Key)
			was = events.Event{Seq: last, Type: events.ObjectType(r.Kind, events.VerbUpdated), Body: o}
			return nil
		},
		After: func(_ *projector.State, e events.Event) error {
			looked = e.Seq
			if !f.Wants(e) {
				return nil
			}
			t := story.New()
			t.Observe(was)
			if !f.Match(e, t.Tell(e)[0]) {
				return nil
			}
			all = append(all, stepOf(eventLink(e.Seq), e, was))
			if len(all) == limit {
				return errFound
			}
			return nil
		},
	})
	if err != nil && !errors.Is(err, errFound) {
		return nil, 0, err
	}
	return all, looked, nil
}
