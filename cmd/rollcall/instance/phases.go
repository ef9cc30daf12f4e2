package instance

import (
	"context"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/apiserver"
)

// Reached is told each step of a start. Tests stop the process there.
var Reached = func(step string) {}

// engine is what is known of the part that reads the log for all others and
// acts upon it.
type engine struct {
	mu      sync.Mutex
	ended   bool      // by itself
	trouble error     // the last that is tried again
	at      time.Time // when that was
}

// troubleShown is how long a trouble is told that may be over.
const troubleShown = time.Minute

// run runs f as the engine.
func (e *engine) run(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		e.mu.Lock()
		e.ended = false
		e.mu.Unlock()
		err := f(ctx)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.ended = ctx.Err() == nil
		return err
	}
}

// report notes an error that is tried again.
func (e *engine) report(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble, e.at = err, time.Now()
}

// alive is what /readyz asks. What is tried again makes nobody unready.
func (e *engine) alive() (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ended:
		return "", &events.Error{Code: "E-API-PART", What: "the engine has ended", Do: "start the instance again", Exit: events.ExitFailure}
	case e.trouble != nil && time.Since(e.at) < troubleShown:
		return "tries again: " + e.trouble.Error(), nil
	}
	return "running", nil
}

// quarantined tells what the fold has set aside.
func (in *Instance) quarantined() (q apiserver.Quarantine) {
	in.State.Read(func(st *projector.State) {
		n, last := st.Quarantined()
		if q.Events = n; n > 0 {
			newest := last[len(last)-1]
			q.Last, q.Why = newest.Seq, newest.Code+": "+newest.Why
		}
	})
	return q
}
