package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/publisher/executor"
)

// Bounds of calls.
const (
	callsInFlight = 32
	kindInFlight  = 24               // of them, that make pods, or that change or end any
	callTime      = 10 * time.Second // of one command
	laneTime      = 5 * time.Second  // that what is heard of a pod waits for a call about it
	aliveTime     = time.Second      // until a log is asked again whether it answers
)

// World is a cluster as an executor acts in it, in which a charter's mode lets it act. It
// does nothing while the log does not have what the cluster has (Gate), or cannot be
// asked: what could not be told is not done.
//
// While a call about a pod is under way, its lane is the call's: what a watch says of the
// pod waits until the log has what the call came to, so that it is told whose doing it
// was.
type World struct {
	*Cluster
	rights   Rights
	slots    chan struct{}
	creates  chan struct{} // places of those that make pods: some are left for
	ends     chan struct{} // those that change or end any, and the other way round
	suspects chan struct{} // there is reason to probe
	wake     chan struct{}
	complete chan struct{} // closed when the log had what the cluster has
	began    time.Time

	mu    sync.Mutex
	gate  Gate
	log   events.Log // nil: nobody records yet
	mark  string     // of the log, on pods that are made
	asked time.Time  // when the log answered last
	calls map[events.Key]call
	since time.Time // by the cluster's clock: when it was taken over; zero: it was not, or is not any more
}

// call is closed when what came of it is in the log.
type call chan struct{}

// NewWorld returns a world in which that may be done which the rights say; one that is to
// be controlled only when it was taken.
func NewWorld(c *Cluster, r Rights) *World {
	return &World{Cluster: c, rights: r, began: time.Now(), slots: make(chan struct{}, callsInFlight), creates: make(chan struct{}, kindInFlight), ends: make(chan struct{}, kindInFlight), suspects: make(chan struct{}, 1), wake: make(chan struct{}, 1), complete: make(chan struct{}), calls: map[events.Key]call{}}
}

// Does says what is done in the cluster; "": nothing.
func (w *World) Does() string {
	switch r := w.rights; {
	case r.Control:
		return "makes and ends the pods of DaemonSets, as their controller"
	case r.Evict:
		return "evicts old pods of OnDelete DaemonSets that have the annotation " + events.AnnotationRollout
	case r.Delete:
		return "deletes old pods of OnDelete DaemonSets that have the annotation " + events.AnnotationRollout + "; it may not evict, so PodDisruptionBudgets are not asked"
	}
	return ""
}

// Ready reports whether it may be decided what to do.
func (w *World) Ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate.Open(time.Now()) && (!w.rights.Control || !w.since.IsZero())
}

// Heard returns how long ago it was known what had not happened in the cluster; ok is
// false if it never was, for as long as it has been tried.
func (w *World) Heard() (ago time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.gate.Heard(); !at.IsZero() {
		return time.Since(at), true
	}
	return time.Since(w.began), false
}

// Wake tells that Ready may have become true.
func (w *World) Wake() <-chan struct{} { return w.wake }

// Complete is closed when the log has what the cluster has for the first time.
func (w *World) Complete() <-chan struct{} { return w.complete }

// Take has the cluster controlled, which at that time by its own clock nobody else does.
func (w *World) Take(since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = since
	w.wakes()
}

// Let has nothing done any more.
func (w *World) Let() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Time{}
}

// taken returns since when the cluster is controlled; zero: it is not.
func (w *World) taken() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since
}

// begin tells of the log that is written.
func (w *World) begin(log events.Log, mark string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log, w.mark = log, mark
}

func (w *World) expect(plural string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Expect(plural)
}

func (w *World) opened(plural string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Opened(plural, n, time.Now())
}

func (w *World) ended(plural string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Ended(plural, n)
}

// working tells that what was heard at a time is being appended.
func (w *World) working(heard time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Working(heard)
}

// rest tells that all that was heard is in the log, which was read up to a position.
func (w *World) rest(at events.Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Working(time.Time{})
	if w.gate.Look(time.Now(), at) {
		w.wakes()
		select {
		case <-w.complete:
		default:
			close(w.complete)
		}
	}
}

func (w *World) wakes() {
	select {
	case w.wake <- struct{}{}:
	default: // it is still to be heard
	}
}

// enter takes one of the places of calls; the call has callTime from then on.
func (w *World) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	return ctx, func() { <-w.slots; cancel() }, nil
}

// enterAs is enter for one of a kind of which not all places are.
func (w *World) enterAs(ctx context.Context, kind chan struct{}) (_ context.Context, leave func(), err error) {
	select {
	case kind <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	ctx, out, err := w.enter(ctx)
	if err != nil {
		<-kind
		return nil, nil, err
	}
	return ctx, func() { out(); <-kind }, nil
}

// permit begins a call about a pod, or says why there is none. basis is the position of
// the decision if others' pods have a part in it.
func (w *World) permit(ctx context.Context, pod events.Key, basis events.Seq) error {
	if err := w.answers(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch why := w.gate.Permit(basis, time.Now()); {
	case w.rights.Control && w.since.IsZero():
		return &executor.Overtaken{Reason: reasonMode, Message: "the cluster is not controlled"}
	case why != "":
		return &executor.Overtaken{Reason: reasonBehind, Message: why}
	}
	if w.calls[pod] == nil {
		w.calls[pod] = make(call)
	}
	return nil
}

// answers asks whether the log answers, if it has not done so for a while.
func (w *World) answers(ctx context.Context) error {
	w.mu.Lock()
	log, asked := w.log, w.asked
	w.mu.Unlock()
	if w.rights == (Rights{}) {
		return &executor.Overtaken{Reason: reasonMode, Message: "the cluster is only recorded"}
	}
	now := time.Now()
	if log == nil || now.Sub(asked) <= aliveTime {
		return nil
	}
	if _, err := log.Info(ctx); err != nil {
		return fmt.Errorf("ask the log whether it answers: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = now
	return nil
}

// Settled implements executor.World.
func (w *World) Settled(pod events.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.calls[pod]; c != nil {
		close(c)
		delete(w.calls, pod)
	}
}

// call returns the call about a pod that is under way; nil: none is.
func (w *World) call(of events.Key) call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[of]
}

// wait returns when the log has what came of a call, or it takes too long.
func (c call) wait(ctx context.Context) {
	timer := time.NewTimer(laneTime)
	defer timer.Stop()
	select {
	case <-c:
	case <-timer.C:
	case <-ctx.Done():
	}
}
