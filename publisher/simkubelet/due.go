package simkubelet

import (
	"errors"
	"time"

	"rollcall/events"
	"rollcall/events/drive"
)

// Next implements drive.Party.
func (w *World) Next() (time.Time, bool) {
	i, ok := w.timers.Min()
	if !ok {
		return time.Time{}, false
	}
	return i.at, true
}

// Due implements drive.Party.
func (w *World) Due(now time.Time, limit int) []drive.Step {
	var steps []drive.Step
	for len(steps) < limit {
		i, ok := w.timers.Min()
		if !ok || i.at.After(now) {
			break
		}
		w.disarm(i)
		var s *Step
		switch i.ref.Kind {
		case events.Node:
			s = w.nodeStep(w.hosts[i.ref.Key.Name], now)
		case events.PersistentVolumeClaim:
			s = w.claimStep(w.claims[i.ref.Key], now)
		case events.PersistentVolume:
			s = w.volumeStep(w.volumes[i.ref.Key.Name], now)
		default:
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

// Done implements drive.Party.
func (w *World) Done(done drive.Step, err error, now time.Time) {
	s := done.(*Step)
	if err == nil {
		return // it will be observed
	}
	i := s.item
	if i.under != s {
		return // something newer was observed already, and armed it
	}
	i.under = nil
	i.tries++
	if p := s.of; p != nil {
		if s.binds && podIP(p.object()) == "" {
			w.ips.free(p.ip, p.ref.UID)
			p.ip = ""
		}
		if p.free {
			w.move(p, nil, now) // the host that was chosen is not its own after all
		}
		w.account(p, now)
	}
	pause := min(firstRetry<<min(i.tries-1, 10), lastRetry)
	if errors.Is(err, events.ErrTooLarge) {
		pause = lastRetry
	}
	w.disarm(i)
	w.wake(i, now.Add(pause))
}

// armPods arms the pods of a host anew after something changed on it, and
// offers it to those that wait for one.
func (w *World) armPods(h *host, now time.Time) {
	for _, p := range h.pods {
		w.armPod(p, now)
	}
	w.offer(h, now)
}

func (w *World) armHost(h *host, now time.Time) {
	w.enter(&h.item, w.nodeStage(h), now)
}

func (w *World) armPod(p *pod, now time.Time) {
	if p.data == nil {
		return
	}
	d := w.podStage(p)
	w.enter(&p.item, d, now)
	if d.stage == podBlocked {
		w.await(p, w.wanting(p))
	} else if p.awaits != nil {
		w.await(p, nil)
	}
	if !d.ok && p.bound {
		p.decoded, p.wants = nil, nil // of most pods nothing comes: their bytes will do
	}
}

// enter enters a stage, if it is another one, and sets the timer of its step.
func (w *World) enter(i *item, d due, now time.Time) {
	if i.stage != d.stage {
		i.stage, i.since = d.stage, now
	}
	w.disarm(i)
	if !d.ok {
		return
	}
	if d.at.IsZero() {
		d.at = i.since.Add(d.delay)
	}
	w.wake(i, d.at)
}

// retire ends an item that is forgotten, and the step that was made of it.
func (w *World) retire(i *item) {
	w.disarm(i)
	i.under = nil
}

func (w *World) disarm(i *item) {
	if i.armed {
		w.timers.Delete(i)
		i.armed = false
	}
}

// wake sets the timer of an item that has no step under way.
func (w *World) wake(i *item, at time.Time) {
	if i.under == nil {
		i.at, i.armed = at, true
		w.timers.Set(i)
	}
}
