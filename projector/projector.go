package projector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/projector/table"
)

// Options of a projector.
type Options struct {
	// Known is how far an earlier run had read. A log that does not hold what
	// was read then is refused. Zero: nothing is known.
	Known Position
	// Save keeps a position for the next run. It is called at most once a
	// second while events come, and when Run returns; nil: nothing is kept.
	Save func(Position) error
	// History is what the tables of objects remember; zero: nobody follows them.
	History table.History
	// Follow are called with every event, in order, after it was folded and as
	// it was folded, from the goroutine of Run: one reader of the log feeds
	// every fold of a process.
	Follow []func(events.Event)
}

// Projector keeps a State up to date with a log. Its methods may be called
// from any goroutine.
type Projector struct {
	log events.Log
	opt Options

	objects *table.Tables

	mu     sync.RWMutex
	state  *State
	folded time.Time // when the last event was
	wake   chan struct{}
	ready  chan struct{}
}

// Open returns a projector that has read nothing yet; Run makes it read.
func Open(log events.Log, opt Options) *Projector {
	objects := table.New(opt.History)
	return &Projector{log: log, opt: opt, objects: objects, state: NewOver("", objects),
		wake: make(chan struct{}, 1), ready: make(chan struct{})}
}

// Objects returns the objects of the log, which are filled as it is folded.
// They can be read while it is: there is no need to wait for the fold.
func (p *Projector) Objects() *table.Tables { return p.objects }

// Run reads the log from its beginning and then follows it until ctx is done.
// It ends with an *events.Error of code E-LOG-GAP, E-LOG-TRUNCATED or
// E-LOG-REWRITTEN when the log is not what it was; nothing is folded after that.
func (p *Projector) Run(ctx context.Context) error {
	err := p.run(ctx)
	p.objects.End(err)
	if saveErr := p.save(); saveErr != nil && (err == nil || errors.Is(err, ctx.Err())) {
		err = saveErr
	}
	return err
}

func (p *Projector) run(ctx context.Context) error {
	info, err := p.log.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the log's state: %w", err)
	}
	if known := p.opt.Known; known.Seq > 0 {
		if known.Log != info.ID {
			return events.Rewritten(known.Seq, fmt.Sprintf("the log was created again: it is %s and was %s", info.ID, known.Log))
		}
		if info.Last < known.Seq {
			return events.Truncated(known.Seq, info.Last)
		}
	}
	p.mu.Lock()
	p.state = NewOver(info.ID, p.objects)
	p.mu.Unlock()
	if info.Last == 0 {
		close(p.ready)
	}
	saved := time.Now()
	for e, err := range p.log.Tail(ctx, 0) {
		if err != nil {
			return err
		}
		if err := p.take(e); err != nil {
			return err
		}
		if e.Seq == info.Last {
			close(p.ready)
		}
		if time.Since(saved) > time.Second {
			if err := p.save(); err != nil {
				return err
			}
			saved = time.Now()
		}
	}
	return ctx.Err()
}

// take folds one event and tells those who wait for it.
func (p *Projector) take(e events.Event) error {
	p.mu.Lock()
	at := p.state.Position()
	if e.Seq != at.Seq+1 {
		p.mu.Unlock()
		return events.Gap(at.Seq+1, e.Seq)
	}
	e = Fold(p.state, e)
	p.folded = time.Now()
	at = p.state.Position()
	p.mu.Unlock()
	if at.Seq == p.opt.Known.Seq && at.Chain != p.opt.Known.Chain {
		return events.Rewritten(at.Seq, "the running hash over the events up to there is another")
	}
	for _, f := range p.opt.Follow {
		f(e)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

func (p *Projector) save() error {
	if p.opt.Save == nil {
		return nil
	}
	p.mu.RLock()
	at := p.state.Position()
	p.mu.RUnlock()
	if at.Seq < p.opt.Known.Seq {
		return nil // a run that stopped early knows less than the one before
	}
	if err := p.opt.Save(at); err != nil {
		return fmt.Errorf("save position %d: %w", at.Seq, err)
	}
	return nil
}

// Ready is closed when all that was in the log at the start of Run is folded.
func (p *Projector) Ready() <-chan struct{} { return p.ready }

// Wake receives when events were folded since it last did. It has one reader.
func (p *Projector) Wake() <-chan struct{} { return p.wake }

// Read calls f with the present state, which f must not keep or change.
func (p *Projector) Read(f func(*State)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f(p.state)
}

// ReadNow is Read with the present time as log time counts it: that of the last
// event, and what has passed here since it was folded. No clock is compared
// with another, so it does not matter what time it is here, or if that is put
// right.
func (p *Projector) ReadNow(f func(s *State, now time.Time)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f(p.state, p.now())
}

// Now returns the present time as log time counts it.
func (p *Projector) Now() time.Time {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.now()
}

func (p *Projector) now() time.Time {
	if p.folded.IsZero() {
		return time.Now().UTC() // nothing in the log to wait for
	}
	return p.state.Time().Add(time.Since(p.folded))
}

// TakeDirty is State.TakeDirty of the present state. It has one caller.
func (p *Projector) TakeDirty() []events.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.TakeDirty()
}

// Await returns when the event at seq is folded: who appended it and waits
// reads its own write. It returns the error of Run if that has ended before.
func (p *Projector) Await(ctx context.Context, seq events.Seq) error {
	return p.objects.Await(ctx, seq)
}
