// Package executor carries out what plans command: in a World, and in the log,
// where what came of each command is told in one event.
package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/projector/table"
)

// sourceExecutor is the source of the events that an executor appends.
const sourceExecutor = "executor"

// Pauses before a command is tried again that the world or the log could not
// take, or that lost its fence to an event which was not read yet.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Executor carries out the commands of plans, those about pods in a World, and
// appends what came of them: the object as it then is, or an outcome. It is a
// drive.Party.
//
// Every command is answered by one event, whose id is a function of the
// command, and which is fenced by the last event of the object. So a command that
// is tried again after a crash or a lost acknowledgement, or by two executors
// at once, takes effect once.
type Executor struct {
	subjects events.Subjects
	world    World
	fold     *commands
}

// New returns an executor that has read nothing yet.
func New(s events.Subjects, w World) *Executor {
	return &Executor{subjects: s, world: w, fold: newCommands()}
}

// ReadFrom makes an executor that has read nothing yet read objects where
// another fold of the process keeps them: that fold takes each event before the
// executor observes it.
func (x *Executor) ReadFrom(objects table.Reader) { x.fold.objects, x.fold.own = objects, nil }

// Pending returns the number of commands that are not answered.
func (x *Executor) Pending() int { return len(x.fold.pending) }

// Observe implements drive.Party.
func (x *Executor) Observe(e events.Event, _ time.Time) { x.fold.observe(e) }

// Next implements drive.Party.
func (x *Executor) Next() (time.Time, bool) {
	o, ok := x.fold.ready.first()
	if !ok {
		return time.Time{}, false
	}
	return o.from, true
}

// Due implements drive.Party.
func (x *Executor) Due(now time.Time, limit int) []drive.Step {
	var steps []drive.Step
	for len(steps) < limit {
		o, ok := x.fold.ready.take(now)
		if !ok {
			break
		}
		o.underway, o.seen = true, x.end(o)
		steps = append(steps, &task{executor: x, order: o, situation: x.situation(o), now: now})
	}
	return steps
}

// situation gathers what o is decided from.
func (x *Executor) situation(o *order) situation {
	c := x.fold
	s := situation{owner: o.owner, command: o.command, node: c.nodes[o.command.Node]}
	if o.command.Kind == events.Pod {
		s.pod = c.objects.Get(events.Pod, o.command.Key)
	}
	switch o.command.Do {
	case events.CreatePod:
		s.set = c.daemonSet(o.owner)
		s.template = c.template(o.owner.UID, o.command.Revision)
	case events.AdoptPod:
		s.set = c.daemonSet(o.owner)
	case events.DeleteObject:
		if s.pod == nil {
			break
		}
		if to, err := openTarget(s.pod.Object); err == nil {
			s.node = c.nodes[to.pod.Spec.NodeName]
		}
	}
	return s
}

// Done implements drive.Party.
func (x *Executor) Done(s drive.Step, err error, now time.Time) {
	o := s.(*task).order
	x.fold.ready.done(o)
	if err == nil {
		// The answer is in the log and will be observed.
		return
	}
	if errors.Is(err, events.ErrConflict) && x.end(o) != o.seen {
		x.fold.rearm(o, time.Time{})
		return
	}
	pause := min(firstRetry<<min(o.tries, 10), lastRetry)
	var later *Later
	if errors.As(err, &later) {
		pause = max(pause, later.After)
	}
	o.tries++
	x.fold.rearm(o, now.Add(pause))
}

// end returns the position of the last event of the pod that o is about; 0: the
// pod is not there, and if it was its last event says so, or o is about no pod.
func (x *Executor) end(o *order) events.Seq {
	if o.command.Kind != events.Pod {
		return 0
	}
	end := x.fold.spoiled[o.command.Key]
	if i := x.fold.objects.Get(events.Pod, o.command.Key); i != nil {
		end = max(end, events.Seq(i.Rev))
	}
	return end
}

// believable reports whether an event that was looked up says something: a
// Screen, which sees all, may still know better.
func believable(e events.Event) bool {
	_, bad := e.Body.(events.Unreadable)
	code, _ := events.Doubt(&e)
	return !bad && code == ""
}

// task is one try of one command.
type task struct {
	situation
	executor *Executor
	order    *order
	now      time.Time
}

// Perform implements drive.Step.
func (t *task) Perform(ctx context.Context, log drive.Log) error {
	perform := t.performOnPod
	if t.owner == (events.Ref{}) {
		perform = t.performOnObject
	}
	v, err := perform(ctx, log)
	var refusal *Refusal
	var late *Overtaken
	switch {
	case errors.As(err, &refusal):
		v = failed(refusal.Reason, refusal.Message)
	case errors.As(err, &late):
		v = overtaken(late.Reason, late.Message)
	case errors.Is(err, events.ErrTooLarge):
		v = failed(reasonTooLarge, err.Error())
	case err != nil:
		return fmt.Errorf("%s %s %s: %w", t.command.Do, t.command.Kind, t.command.Key, err)
	case v.outcome == "":
		return nil // a fact answers the command
	}
	_, err = log.Submit(ctx, events.Entry{Event: t.answer(v.outcome,
		events.Outcome{Owner: t.owner, Command: t.command, Reason: v.reason, Message: v.message})})
	return err
}

// performOnPod carries out a command of a DaemonSet's plan and appends the fact
// that came of it, or returns the outcome.
func (t *task) performOnPod(ctx context.Context, log drive.Log) (verdict, error) {
	v := t.decide(t.now)
	if v.outcome != "" {
		return v, nil
	}
	defer t.executor.world.Settled(t.command.Key)
	fact, err := t.effect(ctx, v)
	if err != nil {
		return verdict{}, err
	}
	_, err = log.Submit(ctx, events.Entry{Event: fact, Expect: t.fence()})
	return verdict{}, err
}

// effect carries the verdict out and returns the fact that came of it.
func (t *task) effect(ctx context.Context, v verdict) (events.Event, error) {
	if v.act == actCreate {
		pod, err := t.executor.world.Create(ctx, Creation{Pod: v.pod, Cause: t.order.cause})
		if err != nil {
			return events.Event{}, err
		}
		body, err := events.NewObject(events.Pod, pod)
		return t.answer(events.ObjectType(events.Pod, events.VerbCreated), body), err
	}
	var pod *corev1.Pod
	var gone bool
	var err error
	if v.act == actDelete {
		pod, gone, err = t.executor.world.Delete(ctx, Deletion{Pod: v.pod, NodeGone: v.gone, At: t.now, Reason: t.command.Reason, Basis: t.order.basis.Seq})
	} else {
		pod, err = t.executor.world.Update(ctx, v.pod)
	}
	body := t.pod.Object
	if err == nil && pod != nil {
		if err = v.to.became(v.pod, pod); err == nil {
			body, err = v.to.object()
		}
	}
	if gone {
		return t.answer(events.ObjectType(events.Pod, events.VerbDeleted), events.Gone(body)), err
	}
	return t.answer(events.ObjectType(events.Pod, events.VerbUpdated), body), err
}

// answer returns the event that answers the command: with the same id for
// every body, so that a command has one answer.
func (t *task) answer(as events.Type, body events.Body) events.Event {
	return events.Event{
		ID:     events.AnswerID(t.order.cause, t.order.basis.Now, "answer"),
		Type:   as,
		Source: sourceExecutor,
		Cause:  t.order.cause,
		Body:   body,
	}
}

// fence expects that the last event of the pod is the last that was observed.
func (t *task) fence() events.Expect {
	return events.Expect{Subject: t.executor.subjects.Object(events.Pod, t.command.Key), Last: t.order.seen}
}
