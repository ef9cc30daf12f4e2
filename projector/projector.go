package projector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/drive"
	"rollcall/projector/table"
)

// Options of a projector.
type Options struct {
	// Known is how far an earlier run had read. A log that does not hold what
	// was read then is refused. Zero: nothing is known.
	Known chain.Position
	// From is the state from which on the log is read, with its objects in tables
	// that remember what History says; nil: that before the first event. The parties
	// have observed what it is of.
	From *State
	// Save keeps a position for the next run. It is called at most once a
	// second while events come, and when Run returns; nil: nothing is kept.
	Save func(chain.Position) error
	// History is what the tables of objects remember; zero: nobody follows them.
	History table.History
	// Follow are called with every event, in order, after it was folded and as
	// it was folded, from the goroutine of Run, before the parties observe it:
	// one reader of the log feeds every fold of a process.
	Follow []func(events.Event)
	// Drive are the options of the parties, but for the fold.
	Drive drive.Options
}

// Projector keeps a State up to date with a log: it is a drive.Fold. Its methods
// may be called from any goroutine but those of drive.Fold and State.
type Projector struct {
	log   events.Log
	opt   Options
	state *State

	objects *table.Tables

	mu    sync.RWMutex
	clock LogClock
	end   events.Seq // of the log when Run began
	saved time.Time
	ready chan struct{}
}

// Open returns a projector that has read nothing yet; Run makes it read.
func Open(log events.Log, opt Options) *Projector {
	state := opt.From
	if state == nil {
		state = NewOver("", table.New(opt.History))
	}
	return &Projector{log: log, opt: opt, objects: state.objects, state: state, clock: LogClock{State: state}, ready: make(chan struct{})}
}

// Objects returns the objects of the log, which are filled as it is folded.
// They can be read while it is: there is no need to wait for the fold.
func (p *Projector) Objects() *table.Tables { return p.objects }

// State returns the state for the parties of Run, which read it between two
// events. Everybody else uses Read.
func (p *Projector) State() *State { return p.state }

// Run reads the log, from its beginning or from Options.From on, and drives parties on it, until ctx is
// done. It ends with an *events.Error of code E-LOG-GAP, E-LOG-TRUNCATED or
// E-LOG-REWRITTEN when the log is not what it was; nothing is folded after that.
func (p *Projector) Run(ctx context.Context, parties ...drive.Party) error {
	o := p.opt.Drive
	o.Fold, o.Look = p, new(Looker).Look
	err := drive.Drive(ctx, p.log, o, parties...)
	p.objects.End(err)
	if errors.Is(err, events.ErrRewritten) {
		return err // what is kept is what tells so the next time too
	}
	if saveErr := p.save(); saveErr != nil && (err == nil || errors.Is(err, ctx.Err())) {
		err = saveErr
	}
	return err
}

// Begin implements drive.Fold.
func (p *Projector) Begin(info events.Info) (events.Seq, error) {
	if known := p.opt.Known; known.Seq > 0 {
		if known.Log != info.ID {
			return 0, events.Rewritten(known.Seq, fmt.Sprintf("the log was created again: it is %s and was %s", info.ID, known.Log))
		}
		if info.Last < known.Seq {
			return 0, events.Truncated(known.Seq, info.Last)
		}
	}
	p.mu.Lock()
	p.state.chain.Log = info.ID
	p.mu.Unlock()
	p.end, p.saved = info.Last, time.Now()
	if err := p.meet(); err != nil {
		return 0, err
	}
	if info.Last == p.state.Seq() {
		close(p.ready)
	}
	return p.state.Seq(), nil
}

// meet holds the running hash against the one that an earlier run had at this
// position.
func (p *Projector) meet() error {
	if at := p.state.Position(); at.Seq == p.opt.Known.Seq && at.Chain != p.opt.Known.Chain {
		return events.Rewritten(at.Seq, "the running hash over the events up to there is another")
	}
	return nil
}

// Take implements drive.Fold: it folds one event and has it followed.
func (p *Projector) Take(e events.Event, now time.Time) (events.Event, error) {
	if at := p.state.Position(); e.Seq != at.Seq+1 {
		return e, events.Gap(at.Seq+1, e.Seq)
	}
	p.mu.Lock()
	e = Fold(p.state, e)
	p.clock.Observe(now)
	p.mu.Unlock()
	if err := p.meet(); err != nil {
		return e, err
	}
	for _, f := range p.opt.Follow {
		f(e)
	}
	if e.Seq == p.end {
		close(p.ready)
	}
	if now.Sub(p.saved) <= time.Second {
		return e, nil
	}
	p.saved = now
	return e, p.save()
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

// Read calls f with the present state, which f must not keep or change.
func (p *Projector) Read(f func(*State)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f(p.state)
}

// ReadNow is Read with the present time as log time counts it.
func (p *Projector) ReadNow(f func(s *State, now time.Time)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f(p.state, p.clock.LogTime(time.Now()))
}

// Told returns where the told event of an id is, if it is folded and among the
// last million of those.
func (p *Projector) Told(id ulid.ULID) (events.Seq, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.state.Told(id)
}

// ToldLast returns the latest time that a source has told of a subject; zero: none,
// or that is long ago.
func (p *Projector) ToldLast(source, subject string) time.Time {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.state.ToldLast(source, subject)
}

// Await returns when the event at seq is folded: who appended it and waits
// reads its own write. It returns the error of Run if that has ended before.
func (p *Projector) Await(ctx context.Context, seq events.Seq) error {
	return p.objects.Await(ctx, seq)
}
