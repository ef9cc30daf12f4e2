package simtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/publisher/executor"
)

// host is a process that runs one party, a real controller or a real executor,
// on a reading of the log that may be old. It performs the steps of the party
// one after the other. Others may come between a decision and its append, and
// between two tries of an append, and at each of these points the process may
// be killed: all that it knows then is the log.
type host struct {
	h       *History
	id      int
	maxLag  int           // how many records the process may be behind
	ahead   time.Duration // by how much its clock is ahead when it decides
	begin   func(*host)   // makes party and take
	party   drive.Party
	take    func(events.Event) events.Event // returns an event as the party may believe it
	state   *projector.State                // of a controller
	read    events.Seq                      // the last record that was read
	lag     int                             // how many records the process is behind
	asleep  time.Time                       // it does nothing until then
	crashes bool                            // it is killed before it learns what came of an append
	steps   []*step
}

func newController(h *History, id int) *host {
	p := &host{h: h, id: id, maxLag: 40, begin: (*host).beginController}
	if id == 0 {
		p.ahead = h.ahead()
	}
	p.begin(p)
	return p
}

// ahead is by how much a controller's clock is ahead of the world's.
func (h *History) ahead() time.Duration {
	if h.cfg.has(faultSkew) {
		return 1500 * time.Millisecond
	}
	return 0
}

func (p *host) beginController() {
	h := p.h
	p.state = projector.New(h.logID)
	p.party = controller.New(h.subjects, p.state, controller.Options{ID: h.id})
	p.take = func(e events.Event) events.Event {
		was := p.state.Time()
		e = projector.Fold(p.state, e)
		h.checkTime(was, p.state)
		if h.checkAll {
			h.check(p.state)
		}
		return e
	}
}

func newExecutor(h *History, id int) *host {
	p := &host{h: h, id: id, maxLag: 12, begin: (*host).beginExecutor}
	p.begin(p)
	return p
}

func (p *host) beginExecutor() {
	h := p.h
	p.party = executor.New(h.subjects, executor.LogWorld{Admit: func(context.Context, *corev1.Pod) error {
		if !h.kubelets.refuses(h.now) {
			return nil
		}
		h.seen.add(seenRefusal)
		return &executor.Refusal{Reason: "Forbidden", Message: "exceeded quota"}
	}})
	p.take = events.NewScreen().Take
}

// restart kills the process and starts it again.
func (p *host) restart() {
	for _, s := range p.steps {
		s.killed = true
		s.stop()
	}
	p.steps, p.read, p.asleep, p.crashes = nil, 0, time.Time{}, false
	p.begin(p)
}

// now is the time by the clock of the process, as it decides.
func (p *host) now() time.Time { return p.h.now.Add(p.ahead) }

// catchUp reads the log but for the last few records.
func (p *host) catchUp(but int) {
	for h := p.h; int(p.read) < len(h.entries)-but; p.read++ {
		p.party.Observe(p.take(h.entries[p.read].read), h.now)
	}
}

// turn is one turn of the eventful part: at most n things are done.
func (p *host) turn(n int) {
	h := p.h
	if h.now.Before(p.asleep) {
		return
	}
	woke := !p.asleep.IsZero()
	p.asleep = time.Time{}
	switch r := h.order.IntN(100); {
	case r < 2 && h.cfg.has(faultRestart):
		h.seen.add(seenRestart)
		p.restart()
	case r >= 2 && r < 5 && h.cfg.has(faultPause):
		p.asleep = h.now.Add(time.Duration(1+h.order.IntN(20)) * time.Second)
		return
	case r >= 5 && r < 10 && h.cfg.has(faultLag):
		p.lag = h.order.IntN(p.maxLag)
	case r >= 10 && r < 20:
		p.lag = 0
	}
	if !woke || h.order.IntN(2) == 0 { // one that wakes may act on what it knew
		p.catchUp(p.lag)
	}
	h.noteStale(p)
	for range n {
		if !p.act() {
			return
		}
	}
}

// act does one thing, if there is one to do: it goes on with a step that is
// under way, or begins those that are due.
func (p *host) act() bool {
	h := p.h
	p.catchUp(p.lag)
	open := slices.DeleteFunc(slices.Clone(p.steps), func(s *step) bool { return s.until.After(h.now) })
	at, due := p.party.Next()
	due = due && !at.After(p.now())
	switch {
	case len(open) > 0 && (!due || h.order.IntN(2) == 0):
		p.perform(open[h.order.IntN(len(open))])
	case due:
		for _, s := range p.party.Due(p.now(), 1+h.order.IntN(4)) {
			p.steps = append(p.steps, newStep(p, s))
		}
		if !h.cfg.has(faultLate) || h.order.IntN(2) == 0 {
			for _, s := range slices.Clone(p.steps) {
				p.perform(s)
			}
		}
	default:
		return false
	}
	return true
}

// perform goes on with a step until it ends or waits.
func (p *host) perform(s *step) {
	if p.crashes || s.until.After(p.h.now) || !slices.Contains(p.steps, s) { // of the process before a restart
		return
	}
	s.next()
	if p.crashes {
		p.restart()
		return
	}
	if s.done {
		p.steps = slices.DeleteFunc(p.steps, func(x *step) bool { return x == s })
		p.party.Done(s.step, s.err, p.now())
	}
}

// nextDue returns when the process has something to do; ok is false if it has
// not until it reads something.
func (p *host) nextDue() (at time.Time, ok bool) {
	at, ok = p.party.Next()
	at = at.Add(-p.ahead)
	for _, s := range p.steps {
		if !ok || s.until.Before(at) {
			at, ok = s.until, true
		}
	}
	return at, ok
}

// step is a step under way. It stands for the log and the clock that the party's
// step uses: wherever the party's step waits for one of them, others go on.
type step struct {
	*memlog.Log
	p      *host
	step   drive.Step              // the party's
	next   func() (struct{}, bool) // goes on with the party's step until that waits
	stop   func()
	yield  func(struct{}) bool
	until  time.Time // the party's step waits until then
	killed bool
	done   bool // the party's step has ended, with err
	err    error
}

var errKilled = errors.New("the process was killed")

func newStep(p *host, of drive.Step) *step {
	s := &step{Log: p.h.log, p: p, step: of}
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.yield = yield
		s.err = of.Perform(context.Background(), drive.Log{Log: s, Clock: s})
		s.done = true
	})
	return s
}

// Now implements drive.Clock. It is asked for right before each try of an
// append: others may come first.
func (s *step) Now() time.Time {
	if h := s.p.h; h.cfg.has(faultLate) && h.order.IntN(3) == 0 {
		_ = s.Sleep(context.Background(), 0) // one that is killed appends nothing
	}
	return s.p.h.now
}

// Sleep implements drive.Clock.
func (s *step) Sleep(_ context.Context, d time.Duration) error {
	s.until = s.p.h.now.Add(d)
	if s.killed || !s.yield(struct{}{}) {
		return errKilled
	}
	return nil
}

// Append implements events.Appender.
func (s *step) Append(_ context.Context, es ...events.Entry) (events.Seq, error) {
	h := s.p.h
	if s.killed {
		return 0, errKilled
	}
	h.noteTwice(es[0].Event)
	before := h.last()
	seq, err := h.append(es[0].Expect, es[0].Event)
	switch {
	case err == nil && es[0].Event.Type == events.Planned:
		if h.planner = h.planner | 1<<s.p.id; h.planner == 3 {
			h.seen.add(seenTwoControllers)
		}
	case errors.Is(err, events.ErrConflict):
		h.seen.add(seenConflict)
	case errors.Is(err, events.ErrUnknown) && h.cfg.has(faultRestart) && h.order.IntN(2) == 0:
		if h.last() > before {
			h.seen.add(seenCrashBeforeAck)
		}
		s.p.crashes = true
	}
	return seq, err
}
