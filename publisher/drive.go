// Package publisher is how facts get into a log: the executor that carries out
// the commands of plans, and the drive that runs it.
//
// Whoever acts here is a party: a fold of the log that says what to append
// next. Parties are pure; Drive is the shell that feeds them one tail of the
// log and performs their steps. Nothing is remembered outside the log, so a
// party that is killed at any point goes on from there.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/events"
)

// Party takes part in a log: it observes every event and says what to append.
// All its methods are called by one goroutine.
type Party interface {
	// Observe folds the next event, as a Screen lets it through.
	Observe(e events.Event)
	// Due returns at most limit steps that are due at now, most urgent first.
	// Each has to be performed once and then settled.
	Due(now time.Time, limit int) []Step
	// Next returns when Due will have steps if nothing is observed until then;
	// ok is false if it will not. A time that is past means now.
	Next() (at time.Time, ok bool)
	// Settle tells how a step ended. ErrConflict means that the log moved on;
	// any other error that the step did not happen and is to be tried again.
	Settle(s Step, err error, now time.Time)
}

// Step is one thing to do. Doing it twice has the effect of once.
type Step interface {
	// Perform does it. Steps are performed concurrently.
	Perform(ctx context.Context, log events.Log) error
}

// Options of Drive. The zero value is ready to use.
type Options struct {
	InFlight int         // steps performed at once; 0 means DefaultInFlight
	Report   func(error) // told of errors that are tried again; may be nil
}

// DefaultInFlight is enough to fill the batches in which a log stores appends.
const DefaultInFlight = 256

const (
	// tailBuffer bounds the events read ahead of the parties.
	tailBuffer = 1024
	// maxLag is how old the proof that everything was read may be when a step
	// is handed out. A log forgets the ids of events after its duplicate
	// window, two minutes at least; within it a second answer to one command
	// is dropped, and before it the first was read.
	maxLag = 30 * time.Second
	// infoRetry is the pause after the log could not say how long it is.
	infoRetry = time.Second
)

// Drive feeds the log to parties from its first event, and once at its end
// performs what they want done, until ctx is done or the log cannot be read;
// it returns that error. No step is under way when it returns.
func Drive(ctx context.Context, log events.Log, o Options, parties ...Party) error {
	if o.InFlight <= 0 {
		o.InFlight = DefaultInFlight
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	d := &drive{log: log, options: o, parties: parties, screen: events.NewScreen(),
		events: make(chan events.Event, tailBuffer), results: make(chan result, o.InFlight)}
	started := time.Now()
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		d.observe(e)
	}
	d.fresh = started

	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.running = &running
	from := d.folded
	running.Go(func() { d.tail(ctx, from) })
	return d.loop(ctx)
}

type result struct {
	party Party
	step  Step
	err   error
}

// drive is the state of one Drive; its goroutine owns all of it but the
// channels.
type drive struct {
	log     events.Log
	options Options
	parties []Party

	screen   *events.Screen // so that nobody acts upon what the fold does not believe
	folded   events.Seq
	inFlight int
	turn     int // which party is asked first

	fresh  time.Time // everything stored before was observed
	proof  time.Time // when target was asked for
	target events.Seq
	again  time.Time // not before asking for target again

	events  chan events.Event
	tailErr error // set before events is closed
	results chan result
	running *sync.WaitGroup
}

func (d *drive) tail(ctx context.Context, from events.Seq) {
	defer close(d.events)
	for e, err := range d.log.Tail(ctx, from) {
		if err != nil {
			d.tailErr = err
			return
		}
		select {
		case d.events <- e:
		case <-ctx.Done():
			d.tailErr = ctx.Err()
			return
		}
	}
	d.tailErr = ctx.Err()
}

func (d *drive) observe(e events.Event) {
	d.folded = e.Seq
	e = d.screen.Take(e)
	for _, p := range d.parties {
		p.Observe(e)
	}
}

func (d *drive) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d.hand(ctx, time.Now())
		timer.Stop()
		if at, ok := d.next(); ok {
			timer.Reset(time.Until(at))
		}
		select {
		case e, ok := <-d.events:
			if !ok {
				return d.ended(ctx)
			}
			d.observe(e)
			if err := d.drain(ctx); err != nil {
				return err
			}
		case r := <-d.results:
			d.settle(r)
			if err := d.drain(ctx); err != nil {
				return err
			}
		case <-timer.C:
		}
	}
}

// drain takes what has arrived, so that parties are asked once for all of it.
func (d *drive) drain(ctx context.Context) error {
	for range tailBuffer {
		select {
		case e, ok := <-d.events:
			if !ok {
				return d.ended(ctx)
			}
			d.observe(e)
		case r := <-d.results:
			d.settle(r)
		default:
			return nil
		}
	}
	return nil
}

func (d *drive) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.tailErr == nil {
		return errors.New("the tail of the log ended")
	}
	return fmt.Errorf("tail the log: %w", d.tailErr)
}

func (d *drive) settle(r result) {
	d.inFlight--
	if r.err != nil && !errors.Is(r.err, events.ErrConflict) && !errors.Is(r.err, context.Canceled) {
		d.options.Report(r.err)
	}
	r.party.Settle(r.step, r.err, time.Now())
}

// next returns when to hand out steps again if nothing happens until then.
func (d *drive) next() (at time.Time, ok bool) {
	if d.inFlight >= d.options.InFlight {
		return time.Time{}, false
	}
	for _, p := range d.parties {
		if t, some := p.Next(); some && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	if !ok || at.After(time.Now()) {
		return at, ok
	}
	// Something is due and was not handed out: it waits for a proof, which
	// comes with events, or for the log to answer.
	return d.again, d.target == 0
}

// hand starts the steps that are due, as many as fit, each party in its turn.
func (d *drive) hand(ctx context.Context, now time.Time) {
	for range d.parties {
		p := d.parties[d.turn%len(d.parties)]
		d.turn++
		at, ok := p.Next()
		if !ok || at.After(now) || d.inFlight >= d.options.InFlight || !d.current(ctx, now) {
			continue
		}
		for _, s := range p.Due(now, d.options.InFlight-d.inFlight) {
			d.inFlight++
			d.running.Go(func() { d.results <- result{p, s, s.Perform(ctx, d.log)} })
		}
	}
}

// current reports whether all that was in the log maxLag ago has been observed.
func (d *drive) current(ctx context.Context, now time.Time) bool {
	if now.Sub(d.fresh) <= maxLag {
		return true
	}
	if d.target == 0 {
		if now.Before(d.again) {
			return false
		}
		info, err := d.log.Info(ctx)
		if err != nil {
			d.options.Report(fmt.Errorf("ask the log for its end: %w", err))
			d.again = now.Add(infoRetry)
			return false
		}
		d.proof, d.target = now, info.Last
	}
	if d.folded < d.target {
		return false
	}
	d.fresh, d.target = d.proof, 0
	return now.Sub(d.fresh) <= maxLag
}

// Pauses between tries of one append whose outcome is unknown, or that the log
// does not take now.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 2 * time.Second
)

// Append appends e under the fence x, again and again while the outcome is
// unknown or the log takes nothing, always the same event under the same
// expectation.
func Append(ctx context.Context, log events.Appender, x events.Expect, e events.Event) (events.Seq, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		seq, err := log.Append(ctx, x, e)
		if !errors.Is(err, events.ErrUnknown) && !errors.Is(err, events.ErrUnavailable) {
			return seq, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, errors.Join(err, ctx.Err())
		}
	}
}
