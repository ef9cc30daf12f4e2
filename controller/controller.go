package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/projector"
)

// statusInterval is the shortest time between two status writes of one
// DaemonSet: its last status is always written, those in between need not be.
const statusInterval = 200 * time.Millisecond

// roundInterval is the shortest time between two rounds. What the log tells
// meanwhile is decided upon together: a rollout that frees one node after the
// other is planned in hundreds of plans and not in thousands.
const roundInterval = 5 * time.Millisecond

// Controller reconciles DaemonSets as the log tells of changes, and collects
// what is left behind. Several may run on one log: the fence lets one plan
// through, and the others decide again.
type Controller struct {
	log      events.Log
	subjects events.Subjects
	state    *projector.Projector

	todo   map[events.Key]bool
	after  map[events.Key]events.Seq // not to be reconciled before this is folded
	due    map[events.Key]time.Time  // in log time
	status map[events.Key]time.Time  // of the last status write, by the clock here

	collects     bool       // and reconciles nothing
	collectAfter events.Seq // nothing is to be collected before this is folded
	collectAt    time.Time  // when something is due to be; zero: when something happens
}

// New returns a controller on a log and the projector that reads it.
func New(log events.Log, subjects events.Subjects, state *projector.Projector) *Controller {
	return &Controller{log: log, subjects: subjects, state: state, todo: map[events.Key]bool{},
		after: map[events.Key]events.Seq{}, due: map[events.Key]time.Time{}, status: map[events.Key]time.Time{}}
}

// Run reconciles until ctx is done or the log refuses for a reason that no
// retry mends. It begins when the projector has read to the end.
func (c *Controller) Run(ctx context.Context) error {
	select {
	case <-c.state.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		began := time.Now()
		if err := c.round(ctx); err != nil {
			return err
		}
		if err := pause(ctx, roundInterval-time.Since(began)); err != nil {
			return err
		}
		if next := c.next(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(next.Sub(c.state.Now()))
		}
		select {
		case <-c.state.Wake():
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// RunCollector is Run without the DaemonSets: it only collects what owners and
// nodes leave behind.
func (c *Controller) RunCollector(ctx context.Context) error {
	c.collects = true
	return c.Run(ctx)
}

// next returns the earliest time at which something is due; zero: none.
func (c *Controller) next() time.Time {
	next := c.collectAt
	for _, t := range c.due {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	return next
}

// round reconciles every DaemonSet that changed or is due, and collects.
func (c *Controller) round(ctx context.Context) error {
	dirty := c.state.TakeDirty()
	if c.collects {
		return c.collect(ctx)
	}
	for _, k := range dirty {
		c.todo[k] = true
	}
	now := c.state.Now()
	for k, t := range c.due {
		if !t.After(now) {
			c.todo[k] = true
			delete(c.due, k)
		}
	}
	for _, k := range keys(c.todo) {
		if err := c.step(ctx, k); err != nil {
			return err
		}
	}
	return c.collect(ctx)
}

// collect appends what is due about objects left behind, once its own last
// append is folded.
func (c *Controller) collect(ctx context.Context) error {
	var what *events.Plan
	var fence, at events.Seq
	c.state.ReadNow(func(s *projector.State, now time.Time) {
		if at = s.Seq(); at >= c.collectAfter {
			what, fence, c.collectAt = Collect(s, now), s.LastPlan(events.Key{}), CollectAt(s)
		}
	})
	if what == nil {
		return nil
	}
	e, x := PlanEvent(what, c.subjects, fence)
	seq, err := c.submit(ctx, e, x)
	if errors.Is(err, events.ErrConflict) {
		seq, err = at+1, nil
	}
	c.collectAfter = seq
	return err
}

// step reconciles one DaemonSet and appends what was decided. One whose own
// last append is not folded yet stays to be done.
func (c *Controller) step(ctx context.Context, k events.Key) error {
	var res Result
	var fence, at events.Seq
	var now time.Time // in log time
	behind := false
	c.state.ReadNow(func(s *projector.State, present time.Time) {
		at, now = s.Seq(), present
		if behind = at < c.after[k]; behind {
			return
		}
		res, fence = Reconcile(s, k, now), s.LastPlan(k)
	})
	if behind {
		return nil
	}
	delete(c.todo, k)
	delete(c.after, k)
	if !res.RequeueAt.IsZero() {
		c.wakeAt(k, res.RequeueAt)
	}
	if res.Plan != nil {
		e, x := PlanEvent(res.Plan, c.subjects, fence)
		if err := c.append(ctx, k, at, e, x); err != nil {
			return err
		}
	}
	for _, w := range res.Writes {
		if err := c.write(ctx, decided{k, at, now}, w); err != nil {
			return err
		}
	}
	return c.writeStatus(ctx, decided{k, at, now}, res.Status)
}

// decided is what was decided upon: a name, and the position and the log time.
type decided struct {
	key events.Key
	at  events.Seq
	now time.Time
}

func (c *Controller) writeStatus(ctx context.Context, d decided, w *Write) error {
	if w == nil {
		return nil
	}
	if wait := statusInterval - time.Since(c.status[d.key]); wait > 0 {
		c.wakeAt(d.key, d.now.Add(wait))
		return nil
	}
	c.status[d.key] = time.Now()
	return c.write(ctx, d, *w)
}

func (c *Controller) wakeAt(k events.Key, t time.Time) {
	if old, ok := c.due[k]; !ok || t.Before(old) {
		c.due[k] = t
	}
}

func (c *Controller) write(ctx context.Context, d decided, w Write) error {
	e, x, err := w.Event(c.subjects, time.Now())
	if err != nil {
		return err
	}
	return c.append(ctx, d.key, d.at, e, x)
}

// append appends e and has k wait until it is folded. A lost fence means that
// the state was old: k is reconciled again when it has moved on.
func (c *Controller) append(ctx context.Context, k events.Key, at events.Seq, e events.Event, x events.Expect) error {
	seq, err := c.submit(ctx, e, x)
	if errors.Is(err, events.ErrConflict) {
		c.todo[k] = true
		seq, err = at+1, nil
	}
	if err != nil {
		return fmt.Errorf("for %s: %w", k, err)
	}
	c.after[k] = max(c.after[k], seq)
	return nil
}

// submit appends e under an id of its own.
func (c *Controller) submit(ctx context.Context, e events.Event, x events.Expect) (events.Seq, error) {
	e.ID = ulid.Make()
	seq, err := drive.Submit(ctx, c.log, events.Entry{Event: e, Expect: x})
	if err != nil {
		err = fmt.Errorf("append %s: %w", e.Type, err)
	}
	return seq, err
}

// pause waits for d, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keys returns what is to be done in order.
func keys(m map[events.Key]bool) []events.Key {
	return slices.SortedFunc(maps.Keys(m), events.Key.Compare)
}
