// Package play runs a cluster in played time: the real controller, collector,
// executor and simulated kubelets on a log in memory, one step after the other.
// It makes recordings, and tells what a recorded history would have become.
// controller/simtest has an engine of its own, because it puts others between any
// two steps of a party and kills it there.
package play

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

// tick is how long it takes until the next event is stored.
const tick = 230 * time.Microsecond

// Cluster is all that up runs but the API. It has one user at a time.
type Cluster struct {
	Subjects events.Subjects
	Log      *memlog.Log
	State    *projector.State

	parties []drive.Party
	watch   func(events.Event) // told of every event, as it was folded; nil: nobody is
	now     time.Time
	tick    time.Duration
	ids     uint64
}

// New returns a cluster whose log is empty, at the time now. id is that of its
// log; empty: one of its own.
func New(s events.Subjects, id string, now time.Time, kubelets simkubelet.Options) *Cluster {
	c := &Cluster{Subjects: s, now: now, tick: tick}
	c.Log = memlog.New(s, c.stamp)
	if id == "" {
		info, _ := c.Log.Info(context.Background()) // of a log in memory: it never fails
		id = info.ID
	}
	c.State = projector.New(id)
	c.join(executor.New(s, executor.LogWorld{}), simkubelet.New(s, kubelets))
	return c
}

// stamp returns when the next event is stored.
func (c *Cluster) stamp() time.Time {
	c.now = c.now.Add(c.tick)
	return c.now
}

// join makes the parties of the cluster.
func (c *Cluster) join(x *executor.Executor, w *simkubelet.World) {
	o := controller.Options{ID: c.ID}
	c.parties = []drive.Party{controller.New(c.Subjects, c.State, o), controller.NewGarbageCollector(c.Subjects, c.State, o), x, w}
}

// ID returns the next id, unlike any other that the cluster has given.
func (c *Cluster) ID() (id ulid.ULID) {
	c.ids++
	binary.BigEndian.PutUint64(id[8:], c.ids)
	_ = id.SetTime(uint64(c.now.UnixMilli())) // cannot be out of range
	return id
}

// Now implements drive.Clock.
func (c *Cluster) Now() time.Time { return c.now }

// Sleep implements drive.Clock.
func (c *Cluster) Sleep(_ context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return nil
}

// Copy takes an event of another log as it is there, at its position and time.
// Nothing is done about it until Run.
func (c *Cluster) Copy(e events.Event) {
	c.now, c.tick = e.Stored, 0
	c.Log.AppendRaw(e.Subject, e.Raw)
	c.tick = tick
	c.take(e)
}

// take has everybody observe an event.
func (c *Cluster) take(e events.Event) {
	e = projector.Fold(c.State, e)
	for _, p := range c.parties {
		p.Observe(e, c.now)
	}
	if c.watch != nil {
		c.watch(e)
	}
}

// Observe has everybody take what is new in the log.
func (c *Cluster) Observe(ctx context.Context) error {
	for e, err := range c.Log.Read(ctx, c.State.Seq()) {
		if err != nil {
			return err
		}
		c.take(e)
	}
	return nil
}

// Run lets time pass until an instant: everything that is due before is done when
// it is.
func (c *Cluster) Run(ctx context.Context, until time.Time) error {
	for {
		if err := c.Observe(ctx); err != nil {
			return err
		}
		next, at := drive.Party(nil), until
		for _, p := range c.parties {
			if t, ok := p.Next(); ok && t.Before(at) {
				next, at = p, t
			}
		}
		if c.now.Before(at) {
			c.now = at
		}
		if next == nil {
			return nil
		}
		for _, s := range next.Due(c.now, 64) {
			next.Done(s, s.Perform(ctx, drive.Log{Log: c.Log, Clock: c}), c.now)
		}
	}
}

// pace is how often it is looked whether rollouts have ended, and longer than the
// controller takes to say so.
const pace = 10 * time.Second

// Settle lets time pass until all rollouts have ended, but not past an instant.
func (c *Cluster) Settle(ctx context.Context, until time.Time) error {
	for c.now.Before(until) {
		settled := c.settled()
		if err := c.Run(ctx, c.now.Add(pace)); err != nil {
			return err
		}
		if settled && c.settled() {
			return nil
		}
	}
	return nil
}

// settled reports whether every DaemonSet has its template on all its nodes.
func (c *Cluster) settled() bool {
	for _, d := range c.State.DaemonSets() {
		if n := d.Counts; n.Updated != n.Desired || n.Available != n.Desired {
			return false
		}
	}
	return true
}
