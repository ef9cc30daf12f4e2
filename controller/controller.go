package controller

import (
	"cmp"
	"errors"
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

// Pauses before a DaemonSet is reconciled again of which something could not
// be appended or written.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Options of a controller and of a garbage collector. The zero value is ready to use.
type Options struct {
	Owns   func(events.Key) bool // whether a DaemonSet of that name is for this controller; nil: all are
	Writer Writer                // where what is written becomes so; nil: the log itself
	ID     func() ulid.ULID      // of events; nil: random ones
	// StatusEvery is the shortest time between two status writes of one DaemonSet; 0:
	// statusInterval.
	StatusEvery time.Duration
	RoundEvery  time.Duration // the shortest time between two rounds; 0: roundInterval
	Queue       Queue         // told what waits and what is under way; nil: nobody is. The garbage collector has none
}

// Controller reconciles DaemonSets as the log tells of changes. It is a
// drive.Party that reads a state: every event is folded into that before the
// controller observes it. Several controllers may run on one log: the fence
// lets one plan through, and the others decide again.
type Controller struct {
	writer writer
	clock  projector.LogClock
	owns   func(events.Key) bool
	queue  Queue
	every  time.Duration // a status is written at most
	rounds time.Duration // one begins at most

	works   map[events.Key]*work
	ready   map[events.Key]bool      // names that the next round reconciles
	waiting map[events.Key]bool      // names whose own appends are not folded yet
	least   events.Seq               // the position at which the first of waiting is ready; 0: none waits
	due     map[events.Key]time.Time // names that time alone gives something to do, and when, in log time
	first   time.Time                // the first time in due; zero: due is empty
	round   time.Time                // no round begins before this
}

// work is what there is to do for the DaemonSets of one name: the present one,
// and deleted ones of which something is left.
type work struct {
	wanted bool       // an event touched one of the DaemonSets since the last reconcile
	under  bool       // what the last reconcile decided is being appended
	paused bool       // that failed: the next reconcile waits until it is due
	after  events.Seq // the next reconcile waits until this position is folded
	tries  int        // how many steps failed in a row
	status time.Time  // when a status was last written
}

// New returns a controller that has observed nothing yet.
func New(s events.Subjects, state *projector.State, o Options) *Controller {
	c := &Controller{writer: newWriter(s, o), clock: projector.LogClock{State: state}, owns: o.Owns, queue: o.Queue, works: map[events.Key]*work{},
		ready: map[events.Key]bool{}, waiting: map[events.Key]bool{}, due: map[events.Key]time.Time{}}
	c.every, c.rounds = cmp.Or(o.StatusEvery, statusInterval), cmp.Or(o.RoundEvery, roundInterval)
	if c.owns == nil {
		c.owns = func(events.Key) bool { return true }
	}
	if c.queue == nil {
		c.queue = unwatched{}
	}
	return c
}

// Observe implements drive.Party.
func (c *Controller) Observe(_ events.Event, now time.Time) {
	c.clock.Observe(now)
	for _, k := range c.clock.State.Touched() {
		c.want(k)
	}
	if c.least != 0 && c.clock.State.Seq() >= c.least {
		c.least = 0
		for _, k := range keys(c.waiting) {
			delete(c.waiting, k)
			c.arm(k)
		}
	}
}

// want has the DaemonSets of a name reconciled.
func (c *Controller) want(k events.Key) {
	if !c.owns(k) {
		return
	}
	w := c.works[k]
	if w == nil {
		w = &work{}
		c.works[k] = w
	}
	w.wanted = true
	c.queue.Add(k)
	c.arm(k)
}

// arm puts a name into the next round if a reconcile is wanted and nothing is in
// the way of one.
func (c *Controller) arm(k events.Key) {
	w := c.works[k]
	switch {
	case !w.wanted || w.under || w.paused:
	case w.after > c.clock.State.Seq():
		c.waiting[k] = true
		if c.least == 0 || w.after < c.least {
			c.least = w.after
		}
	default:
		c.ready[k] = true
	}
}

// wakeAt has the DaemonSets of a name reconciled at t in log time at the latest.
func (c *Controller) wakeAt(k events.Key, t time.Time) {
	if old, ok := c.due[k]; !ok || t.Before(old) {
		c.due[k] = t
	}
	if c.first.IsZero() || t.Before(c.first) {
		c.first = t
	}
}

// Next implements drive.Party.
func (c *Controller) Next() (time.Time, bool) {
	switch {
	case len(c.ready) > 0:
		return c.round, true
	case c.first.IsZero():
		return time.Time{}, false
	}
	return later(c.round, c.clock.Local(c.first)), true
}

// Due implements drive.Party: it is one round.
func (c *Controller) Due(now time.Time, limit int) []drive.Step {
	if now.Before(c.round) {
		return nil
	}
	c.round = now.Add(c.rounds)
	c.ripen(c.clock.LogTime(now))
	var steps []drive.Step
	for _, k := range keys(c.ready) {
		if len(steps) == limit {
			break
		}
		delete(c.ready, k)
		if s := c.reconcile(k, now); s != nil {
			steps = append(steps, s)
		}
	}
	return steps
}

// ripen wants a reconcile of every name whose time has come.
func (c *Controller) ripen(present time.Time) {
	if c.first.IsZero() || c.first.After(present) {
		return
	}
	c.first = time.Time{}
	for _, k := range keys(c.due) {
		t := c.due[k]
		if t.After(present) {
			c.wakeAt(k, t)
			continue
		}
		delete(c.due, k)
		if w := c.works[k]; w != nil {
			w.paused = false
		}
		c.want(k)
	}
}

// reconcile decides what is due for the DaemonSets of a name; nil: nothing.
func (c *Controller) reconcile(k events.Key, now time.Time) *step {
	state, w, present := c.clock.State, c.works[k], c.clock.LogTime(now)
	w.wanted = false
	c.queue.Begin(k)
	res := Reconcile(state, k, present)
	if !res.RequeueAt.IsZero() {
		c.wakeAt(k, res.RequeueAt)
	}
	s := &step{writer: c.writer, key: k, at: state.Seq(), plan: res.Plan, fence: state.LastPlan(k), writes: res.Writes}
	if res.Status != nil {
		if wait := c.every - now.Sub(w.status); wait > 0 {
			c.wakeAt(k, present.Add(wait))
		} else {
			s.writes, s.status = append(s.writes, *res.Status), true
		}
	}
	if s.plan == nil && len(s.writes) == 0 {
		if _, more := c.due[k]; !more && state.DaemonSet(k) == nil {
			delete(c.works, k)
		}
		c.queue.Done(k)
		return nil
	}
	w.under = true
	return s
}

// Done implements drive.Party. What was appended has to be folded before the
// next reconcile. A lost fence means that the state was old: there is another
// when it has moved on.
func (c *Controller) Done(done drive.Step, err error, now time.Time) {
	s := done.(*step)
	w := c.works[s.key]
	w.under = false
	c.queue.Done(s.key)
	if err != nil {
		c.queue.Retry(s.key)
	}
	w.after = max(w.after, s.last)
	switch {
	case err == nil:
		w.tries = 0
	case errors.Is(err, events.ErrConflict):
		w.after, w.wanted = max(w.after, s.at+1), true
	default:
		w.paused, w.wanted = true, true
		c.wakeAt(s.key, c.clock.LogTime(now).Add(min(firstRetry<<min(w.tries, 10), lastRetry)))
		w.tries++
	}
	if s.status {
		w.status = now
	}
	c.arm(s.key)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// keys returns the keys of m in order.
func keys[V any](m map[events.Key]V) []events.Key {
	return slices.SortedFunc(maps.Keys(m), events.Key.Compare)
}
