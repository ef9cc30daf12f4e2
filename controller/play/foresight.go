package play

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/projector/table"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

// Foresight is a cluster at a position of its log, from which it can be played on
// again and again. Nothing of the log before is needed for that.
type Foresight struct {
	At       replay.Moment
	subjects events.Subjects
	keyframe []byte
	begun    []begun
}

// begun is a plan of which some commands are not answered.
type begun struct {
	events.Event
	answered []events.Cause
}

// NewForesight returns the cluster of a history at a moment. If that is later
// than the event there, nothing has happened meanwhile.
func NewForesight(ctx context.Context, h *replay.History, s events.Subjects, at replay.Moment) (*Foresight, error) {
	st, err := h.At(ctx, at.Seq)
	if err != nil {
		return nil, err
	}
	f := &Foresight{At: at, subjects: s}
	if f.keyframe, err = st.Keyframe(); err != nil {
		return nil, err
	}
	pending := map[events.Cause]bool{}
	var plans []events.Seq
	for _, d := range st.AllSets() {
		for _, c := range d.AllCells() {
			for _, p := range c.Pending {
				pending[p.Cause] = true
				plans = append(plans, p.Cause.Seq)
			}
		}
	}
	slices.Sort(plans)
	for _, seq := range slices.Compact(plans) {
		if seq < h.Span().First {
			continue // and nobody answers what it commands
		}
		b := begun{}
		if b.Event, err = h.Event(ctx, seq); err != nil {
			return nil, err
		}
		if p, ok := b.Body.(*events.Plan); ok {
			for i := range p.Commands {
				if cause := (events.Cause{Seq: seq, Index: i}); !pending[cause] {
					b.answered = append(b.answered, cause)
				}
			}
		}
		f.begun = append(f.begun, b)
	}
	return f, nil
}

// observed are the kinds of which a kubelet or an executor remembers objects, in
// the order in which these need each other.
var observed = []events.Kind{events.Node, events.StorageClass, events.PersistentVolume, events.PersistentVolumeClaim, events.ConfigMap, events.Secret,
	events.DaemonSet, events.ControllerRevision, events.Pod}

// cluster returns the cluster, with parties that know what is there. What a
// kubelet had begun at that moment it begins again.
func (f *Foresight) cluster(kubelets simkubelet.Options) (*Cluster, error) {
	objects := table.New(table.History{})
	st, err := projector.ReadKeyframe(f.keyframe, "", objects)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Subjects: f.subjects, State: st, now: st.Time(), tick: tick, ids: modelIDs}
	c.Log = memlog.NewAfter(f.subjects, c.stamp, st.Seq())
	c.now = st.Time()
	x, w := executor.New(f.subjects, executor.LogWorld{}), simkubelet.New(f.subjects, kubelets)
	x.ReadFrom(objects)
	c.join(x, w)
	for _, kind := range observed {
		for _, o := range st.List(kind, "") {
			_, last, _ := st.Object(kind, o.Key)
			c.tell(events.Event{Seq: last, Type: events.ObjectType(kind, events.VerbUpdated), Stored: c.now, Body: o})
		}
	}
	for _, b := range f.begun {
		c.tell(b.Event)
		for _, cause := range b.answered {
			c.tell(events.Event{Cause: cause})
		}
	}
	return c, nil
}

// tell has the parties observe what the state has folded already.
func (c *Cluster) tell(e events.Event) {
	for _, p := range c.parties {
		p.Observe(e, c.now)
	}
}

// standardDelay is how long everything takes that kubelets do, where it must not
// depend on what a history shows.
const standardDelay = time.Second

// Terms are how a foresight is played.
type Terms struct {
	Delays *Delays // that kubelets take; nil: all take the same
	Seed   int64
	Longer time.Duration // how long at most it goes on, for rollouts to end
}

func (t Terms) kubelets() simkubelet.Options {
	o := simkubelet.DefaultOptions()
	o.Seed, o.Everywhere = t.Seed, true
	o.Took = func(what string, p *corev1.Pod) (time.Duration, bool) {
		if t.Delays == nil {
			return standardDelay, true
		}
		return t.Delays.Draw(t.Seed, what, p)
	}
	return o
}

// Play writes what is intended, and tells what becomes of its DaemonSets.
func (f *Foresight) Play(ctx context.Context, intents []Intent, t Terms) ([]*Outcome, error) {
	c, err := f.cluster(t.kubelets())
	if err != nil {
		return nil, err
	}
	if err := c.Run(ctx, f.At.Now); err != nil {
		return nil, err
	}
	var all []*tally
	for _, i := range intents {
		if i.After.Kind == events.DaemonSet {
			all = append(all, newTally(c, i))
		}
	}
	c.watch = func(e events.Event) {
		for _, t := range all {
			t.take(c.State, e)
		}
	}
	for _, i := range intents {
		if _, err := c.write(ctx, i); err != nil {
			return nil, err
		}
	}
	if err := c.Settle(ctx, c.now.Add(t.Longer)); err != nil {
		return nil, err
	}
	var outcomes []*Outcome
	for _, t := range all {
		outcomes = append(outcomes, t.finish(c))
	}
	return outcomes, nil
}

// delayEvents is how far back it is looked for how long kubelets take.
const delayEvents = 100_000

// DelaysOf returns how long the kubelets of a history took before a position, and
// from which position on that was looked at.
func DelaysOf(ctx context.Context, h *replay.History, to events.Seq) (d Delays, from events.Seq, err error) {
	if from = h.Span().First; to > from+delayEvents {
		from = to - delayEvents
	}
	err = h.Walk(ctx, from-1, to, replay.Visit{After: func(s *projector.State, e events.Event) error {
		d.Take(s, e)
		return nil
	}})
	return d, from, err
}
