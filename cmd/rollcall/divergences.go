package main

import (
	"sync"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// divergences counts what diverges in a cluster while it is recorded, for /metrics. It
// begins when the log has what the cluster has, with the next event or when it is asked,
// for after that there may be no event any more.
type divergences struct {
	complete <-chan struct{} // closed when the log has what the cluster has
	warn     func(string)
	// heard tells how long ago it was known what had not happened there; not ok: it never was.
	heard func() (ago time.Duration, ok bool)

	mu    sync.Mutex
	state *projector.Projector // nil: it is not there yet
	c     *replay.Divergences  // nil: it has not begun
}

// of has the log of an instance compared.
func (d *divergences) of(state *projector.Projector) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = state
}

// follow takes an event of the log, which is folded.
func (d *divergences) follow(e events.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begun() {
		d.c.Take(e)
	}
}

// begun reports whether there is a comparison, and begins it if it may.
func (d *divergences) begun() bool {
	if d.c != nil || d.state == nil {
		return d.c != nil
	}
	select {
	case <-d.complete:
	default:
		return false
	}
	var err error
	d.state.Read(func(s *projector.State) {
		var own *projector.State
		if own, err = s.Copy(); err == nil {
			d.c = replay.NewDivergences(own)
		}
	})
	if err != nil {
		d.warn("divergences are not counted: " + err.Error())
		d.state = nil
	}
	return d.c != nil
}

// tell tells how many there are. That nothing
// happens there counts too, as far as it is known.
func (d *divergences) tell(tell func(v float64, labels ...string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := map[replay.Divergence]int{}
	if d.begun() {
		if ago, ok := d.heard(); ok {
			var at time.Time
			d.state.ReadNow(func(_ *projector.State, now time.Time) { at = now.Add(-ago) })
			d.c.Pass(at)
		}
		counts = d.c.Counts()
	}
	for _, class := range []replay.Class{replay.Extra, replay.Undone, replay.Counted} {
		counts[replay.Divergence{Class: class}] += 0 // a counter is there before it counts
	}
	for of, n := range counts { // the registry sorts
		tell(float64(n), string(of.Class), string(of.Rule))
	}
}
