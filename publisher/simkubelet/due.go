package simkubelet

import (
	"errors"
	"time"

	"rollcall/events"
	"rollcall/publisher"
)

// Next implements publisher.Party.
func (w *World) Next() (time.Time, bool) {
	i, ok := w.timers.Min()
	if !ok {
		return time.Time{}, false
	}
	return i.at, true
}

// Due implements publisher.Party.
func (w *World) Due(now time.Time, limit int) []publisher.Step {
	var steps []publisher.Step
	for len(steps) < limit {
		i, ok := w.timers.Min()
		if !ok || i.at.After(now) {
			break
		}
		w.disarm(i)
		var s *Step
		if i.ref.Kind == events.Node {
			s = w.nodeStep(w.hosts[i.ref.Key.Name], now)
		} else {
			s = w.podStep(w.pods[i.ref.Key], now)
		}
		if s != nil {
			i.under = s
			steps = append(steps, s)
			if p := s.of; p != nil {
				w.account(p, now)
			}
		}
	}
	return steps
}

// Pauses before a step is tried again that the log did not take, or that lost
// its fence to an event that was not read yet.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Settle implements publisher.Party.
func (w *World) Settle(done publisher.Step, err error, now time.Time) {
	s := done.(*Step)
	if err == nil {
		return // it will be observed
	}
	var i *item
	if p := w.pods[s.ref.Key]; s.ref.Kind == events.Pod && p != nil {
		i = &p.item
	} else if h := w.hosts[s.ref.Key.Name]; s.ref.Kind == events.Node && h != nil {
		i = &h.item
	}
	if i == nil || i.under != s {
		return // something newer was observed already, and armed it
	}
	i.under = nil
	i.tries++
	if s.of != nil {
		w.account(s.of, now)
	}
	pause := min(firstRetry<<min(i.tries-1, 10), lastRetry)
	if errors.Is(err, events.ErrTooLarge) {
		pause = lastRetry
	}
	w.disarm(i)
	w.wake(i, now.Add(pause))
}
