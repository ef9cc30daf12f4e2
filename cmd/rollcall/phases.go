package main

import (
	"context"
	"errors"
	"sync"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/apiserver"
)

// reached is told each step of a start. Tests stop the process there.
var reached = func(step string) {}

// interrupted returns the end of ctx in place of what it has brought about: a
// start that is stopped fails in as many ways as it has steps. A refusal stays
// what it is, whenever somebody lost patience.
func interrupted(ctx context.Context, err error) error {
	var e *events.Error
	if err == nil || ctx.Err() == nil || errors.As(err, &e) && e.Exit != events.ExitFailure {
		return err
	}
	return ctx.Err()
}

// parts are those of an instance that must run as long as it does.
type parts struct {
	mu    sync.Mutex
	ended map[string]bool
}

// run makes f the part of that name.
func (p *parts) run(name string, f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := f(ctx)
		if ctx.Err() == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.ended == nil {
				p.ended = map[string]bool{}
			}
			p.ended[name] = true
		}
		return err
	}
}

// alive reports whether a part has not ended by itself.
func (p *parts) alive(name string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended[name] {
		return "", &events.Error{Code: "E-API-PART", What: "the " + name + " has ended", Do: "start the instance again", Exit: events.ExitFailure}
	}
	return "running", nil
}

// checks are what /readyz asks of the parts that the API does not know.
func (in *instance) checks() []apiserver.Check {
	var all []apiserver.Check
	names := []string{"executor"}
	if len(in.options.controls) > 0 {
		names = append(names, "controller")
	}
	for _, name := range names {
		all = append(all, apiserver.Check{Name: name, State: func() (string, error) { return in.parts.alive(name) }})
	}
	return all
}

// quarantined tells what the fold has set aside.
func (in *instance) quarantined() (q apiserver.Quarantine) {
	in.state.Read(func(st *projector.State) {
		n, last := st.Quarantined()
		if q.Events = n; n > 0 {
			newest := last[len(last)-1]
			q.Last, q.Why = newest.Seq, newest.Code+": "+newest.Why
		}
	})
	return q
}
