package sim

import (
	"errors"
	"time"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
)

// statusInterval is the shortest time between two status writes, as in the
// real shell.
const statusInterval = 200 * time.Millisecond

// pilot is the shell of one controller: it folds, wakes, reconciles and
// appends, with a view that may be old.
type pilot struct {
	h      *History
	id     int
	state  *projector.State
	todo   map[events.Key]bool
	due    map[events.Key]time.Time // in log time
	after  map[events.Key]events.Seq
	status map[events.Key]time.Time // in real time
	folded time.Time                // when the last event was, in real time
	asleep time.Time
	lag    int
	out    *outgoing
}

// outgoing is an append of which it is not known whether it is in the log.
type outgoing struct {
	key    events.Key
	at     events.Seq // what it was decided from
	expect events.Expect
	event  events.Event
}

func newPilot(h *History, id int) *pilot {
	p := &pilot{h: h, id: id}
	p.restart()
	return p
}

// restart forgets everything; the log tells it again.
func (p *pilot) restart() {
	p.state = projector.New(p.h.logID)
	p.todo, p.due = map[events.Key]bool{}, map[events.Key]time.Time{}
	p.after, p.status = map[events.Key]events.Seq{}, map[events.Key]time.Time{}
	p.out, p.asleep = nil, time.Time{}
}

// read folds at most n records and leaves the last few unread.
func (p *pilot) read(n, but int) {
	h := p.h
	for ; n > 0 && int(p.state.Seq()) < len(h.entries)-but; n-- {
		was := p.state.Time()
		projector.Fold(p.state, h.entries[p.state.Seq()].read)
		p.folded = h.now
		h.checkTime(was, p.state)
		if h.checkAll {
			h.check(p.state)
		}
		for _, k := range p.state.Touched() {
			p.todo[k] = true
		}
	}
}

// turn is one turn of the eventful part.
func (p *pilot) turn() {
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
		p.lag = h.order.IntN(40)
	case r >= 10 && r < 20:
		p.lag = 0
	}
	if !woke || h.order.IntN(2) == 0 { // one that wakes may act on what it knew
		p.read(1<<20, p.lag)
	}
	h.noteStale(p)
	p.act(1 + h.order.IntN(2))
}

// act reconciles at most n of what is to be done, and reports whether it
// appended anything.
func (p *pilot) act(n int) bool {
	h := p.h
	before := h.last()
	if o := p.out; o != nil {
		p.out = nil
		o.event.At = p.h.now
		p.append(*o)
		return h.last() > before
	}
	for _, k := range sortedKeys(p.due, events.Key.Compare) {
		if !p.due[k].After(p.clock()) {
			p.todo[k] = true
			delete(p.due, k)
		}
	}
	for _, k := range sortedKeys(p.todo, events.Key.Compare) {
		if n == 0 || p.out != nil {
			break
		}
		if p.state.Seq() < p.after[k] && !h.cfg.has(faultReckless) {
			continue
		}
		n--
		p.step(k)
	}
	return h.last() > before
}

// clock is log time as the controller counts it: that of the last event, and
// what has passed since it was folded. It may be ahead.
func (p *pilot) clock() time.Time {
	if p.state.Seq() == 0 {
		return p.h.now
	}
	return p.state.Time().Add(p.h.now.Sub(p.folded) + p.h.ahead(p.id))
}

// ahead is by how much a controller's clock is ahead of the world's.
func (h *History) ahead(controller int) time.Duration {
	if h.cfg.has(faultSkew) && controller == 0 {
		return 1500 * time.Millisecond
	}
	return 0
}

func (p *pilot) step(k events.Key) {
	h := p.h
	now := p.clock()
	res := controller.Reconcile(p.state, k, now)
	fence := p.state.LastPlan(k)
	delete(p.todo, k)
	if !res.RequeueAt.IsZero() {
		p.wakeAt(k, res.RequeueAt)
	}
	if res.Plan != nil {
		e, x := controller.PlanEvent(res.Plan, h.subjects, fence)
		if e.ID, e.At = h.id(), p.h.now; !p.append(outgoing{k, p.state.Seq(), x, e}) {
			return
		}
	}
	for _, w := range res.Writes {
		if !p.write(k, w) {
			return
		}
	}
	if res.Status == nil {
		return
	}
	if wait := p.status[k].Add(statusInterval).Sub(h.now); wait > 0 {
		p.wakeAt(k, p.clock().Add(wait))
		return
	}
	p.status[k] = h.now
	p.write(k, *res.Status)
}

func (p *pilot) wakeAt(k events.Key, t time.Time) {
	if old, ok := p.due[k]; !ok || t.Before(old) {
		p.due[k] = t
	}
}

func (p *pilot) write(k events.Key, w controller.Write) bool {
	e, x, err := w.Event(p.h.subjects)
	if err != nil {
		p.h.broken = violation("ENCODE", p.h.last(), "%v", err)
		return false
	}
	e.ID, e.At = p.h.id(), p.h.now
	return p.append(outgoing{k, p.state.Seq(), x, e})
}

// append appends and reports whether the controller goes on with its step.
func (p *pilot) append(o outgoing) bool {
	h, k := p.h, o.key
	before := h.last()
	seq, err := h.append(o.expect, o.event)
	switch {
	case err == nil:
		p.after[k] = max(p.after[k], seq)
		if o.event.Type == events.Planned {
			if h.planner = h.planner | 1<<p.id; h.planner == 3 {
				h.seen.add(seenTwoControllers)
			}
		}
		return true
	case errors.Is(err, events.ErrConflict):
		p.todo[k] = true
		p.after[k] = max(p.after[k], o.at+1)
		h.seen.add(seenConflict)
		return true
	case errors.Is(err, events.ErrUnknown):
		p.todo[k] = true
		p.out = &o
		if h.cfg.has(faultRestart) && h.order.IntN(2) == 0 {
			if h.last() > before {
				h.seen.add(seenCrashBeforeAck)
			}
			p.restart()
		}
		return false
	}
	p.restart() // a refusal ends the real shell
	return false
}

// nextDue returns when the controller has something to do; zero: never.
func (p *pilot) nextDue() time.Time {
	var next time.Time
	for _, k := range sortedKeys(p.due, events.Key.Compare) {
		if t := p.due[k]; next.IsZero() || t.Before(next) {
			next = t
		}
	}
	return next
}
