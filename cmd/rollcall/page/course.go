package page

import (
	"context"

	"rollcall/controller/replay"
)

// course are the rollouts of a log from its beginning on, and what a witness has seen
// go by.
type course struct {
	replay.Course
	*witness
}

func newCourse() *course {
	c := &course{witness: newWitness()}
	c.See = c.take
	return c
}

// read takes what it has not, up to the end of a history.
func (c *course) read(ctx context.Context, h *replay.History) ([]*replay.Rollout, error) {
	all, err := c.Go(ctx, h)
	if err != nil {
		*c = *newCourse() // nobody knows how far it has got
	}
	return all, err
}

// rollouts returns the rollouts up to the instant.
func (q *query) rollouts() ([]*replay.Rollout, error) {
	if !q.now && q.at.Seq != q.h.Span().Last {
		return q.h.Rollouts(q.Context(), q.at.Seq)
	}
	return q.courseToEnd()
}

// courseToEnd returns the rollouts up to the end of the log. Those of a log that goes
// on do so with it, and are held; how they began is read before, so that nobody waits
// for it.
func (q *query) courseToEnd() (all []*replay.Rollout, err error) {
	c := q.course
	if !q.page.Live {
		all, err = c.read(q.Context(), q.h)
		c.Rest()
		return all, err
	}
	if err := q.hold(); err != nil {
		return nil, err
	}
	if q.end.course != c {
		q.letGo()
		if _, err := c.read(q.Context(), q.h); err != nil {
			return nil, err
		}
		if err := q.hold(); err != nil {
			return nil, err
		}
	}
	if all, err = c.read(q.Context(), q.h); err == nil {
		c.Rest()
		q.end.course = c
	}
	return all, err
}
