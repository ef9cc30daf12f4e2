package drive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/events"
)

// Options of Drive. The zero value is ready to use.
type Options struct {
	InFlight int         // steps of one party performed at once; 0 means DefaultInFlight
	Report   func(error) // told of errors that are tried again; may be nil
	Fold     Fold        // what the log is read into; nil: parties keep what they need
	// Look is called with every event by the goroutine that reads ahead, for what
	// the fold would else read of the event itself; nil: nothing is read ahead.
	Look func(*events.Event)
	// Wake has the parties asked again what is due, though the log told nothing:
	// for one that also hears from elsewhere. nil: nobody does.
	Wake <-chan struct{}
}

// DefaultInFlight is enough to fill the batches in which a log stores appends.
const DefaultInFlight = 1024

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

// Drive reads the log for the parties, from where the fold begins, and once at its end
// performs what they want done, until ctx is done or the log cannot be read; it
// returns that error. No step is under way when it returns.
func Drive(ctx context.Context, log events.Log, o Options, parties ...Party) error {
	if o.InFlight <= 0 {
		o.InFlight = DefaultInFlight
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Fold == nil {
		o.Fold = &screened{screen: events.NewScreen()}
	}
	started := time.Now()
	info, err := log.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the log's state: %w", err)
	}
	after, err := o.Fold.Begin(info)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &drive{log: log, options: o, told: true, folded: after, proof: started, target: info.Last,
		events: make(chan events.Event, tailBuffer), ends: make(chan end, 1),
		jobs: make(chan job, o.InFlight*len(parties)), results: make(chan result, o.InFlight*len(parties)), running: &running}
	defer close(d.jobs)
	for _, p := range parties {
		d.seats = append(d.seats, &seat{party: p})
	}
	running.Go(func() { d.tail(ctx, after) })
	return d.loop(ctx)
}

// seat is a party and how many of its steps are under way.
type seat struct {
	party    Party
	inFlight int
}

// job is a step of a party to perform.
type job struct {
	seat *seat
	step Step
	seen events.Seq // how far the log was read when it was due
}

// result is how a job ended.
type result struct {
	job
	err error
}

// end is what the log answered when it was asked how long it is.
type end struct {
	asked time.Time
	last  events.Seq
	err   error
}

// drive is the state of one Drive; its goroutine owns all of it but the
// channels.
type drive struct {
	log     events.Log
	options Options
	seats   []*seat

	folded events.Seq
	fresh  time.Time  // everything stored before was observed
	told   bool       // the log said at proof that target is its end
	proof  time.Time  // of target
	target events.Seq // to be observed before fresh becomes proof
	asking bool       // the log is being asked for its end
	again  time.Time  // it is not to be asked before

	events  chan events.Event
	tailErr error // set before events is closed
	ends    chan end
	jobs    chan job
	results chan result
	open    int // jobs without a result
	workers int // goroutines that perform them
	running *sync.WaitGroup
}

func (d *drive) tail(ctx context.Context, after events.Seq) {
	defer close(d.events)
	for e, err := range d.log.Tail(ctx, after) {
		if err != nil {
			d.tailErr = err
			return
		}
		if d.options.Look != nil {
			d.options.Look(&e)
		}
		select {
		case d.events <- e:
		case <-ctx.Done():
			return
		}
	}
}

func (d *drive) observe(e events.Event) error {
	now := time.Now()
	e, err := d.options.Fold.Take(e, now)
	if err != nil {
		return err
	}
	d.folded = e.Seq
	for _, s := range d.seats {
		s.party.Observe(e, now)
	}
	return nil
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
		var err error
		select {
		case e, ok := <-d.events:
			err = d.arrived(ctx, e, ok)
		case r := <-d.results:
			d.done(r)
		case a := <-d.ends:
			d.answered(a)
		case <-d.options.Wake:
		case <-timer.C:
		}
		if err == nil {
			err = d.drain(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// drain takes what has arrived, so that parties are asked once for all of it.
func (d *drive) drain(ctx context.Context) error {
	for range tailBuffer {
		select {
		case e, ok := <-d.events:
			if err := d.arrived(ctx, e, ok); err != nil {
				return err
			}
		case r := <-d.results:
			d.done(r)
		default:
			return nil
		}
	}
	return nil
}

// arrived observes an event, or says why there will be none any more.
func (d *drive) arrived(ctx context.Context, e events.Event, ok bool) error {
	switch {
	case ok:
		return d.observe(e)
	case ctx.Err() != nil:
		return ctx.Err()
	case d.tailErr == nil:
		return errors.New("the tail of the log ended")
	}
	return fmt.Errorf("tail the log: %w", d.tailErr)
}

func (d *drive) done(r result) {
	d.open--
	r.seat.inFlight--
	if d.open == 0 {
		d.dismiss()
	}
	if r.err != nil && !errors.Is(r.err, events.ErrConflict) && !errors.Is(r.err, context.Canceled) {
		d.options.Report(r.err)
	}
	r.seat.party.Done(r.step, r.err, time.Now())
}

// next returns when to hand out steps again if nothing happens until then.
func (d *drive) next() (at time.Time, ok bool) {
	for _, s := range d.seats {
		if s.inFlight >= d.options.InFlight {
			continue
		}
		if t, some := s.party.Next(); some && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	if !ok || at.After(time.Now()) {
		return at, ok
	}
	// Something is due and was not handed out: it waits for a proof, which
	// comes with events, or for the log to answer.
	return d.again, !d.told && !d.asking
}

// hand starts the steps that are due, as many of each party as fit.
func (d *drive) hand(ctx context.Context, now time.Time) {
	for _, s := range d.seats {
		at, ok := s.party.Next()
		if !ok || at.After(now) || s.inFlight >= d.options.InFlight || !d.current(ctx, now) {
			continue
		}
		for _, step := range s.party.Due(now, d.options.InFlight-s.inFlight) {
			d.perform(ctx, job{seat: s, step: step})
		}
	}
}

// idleWorkers is how many goroutines wait for the next job while there is none.
const idleWorkers = 64

// perform has a job done by one of as many goroutines as there were jobs at once
// since there was none. They stay for the next job: what a step calls is deep, and
// a new goroutine would have to make its stack larger for each.
func (d *drive) perform(ctx context.Context, j job) {
	j.seat.inFlight++
	j.seen = d.folded
	if d.open++; d.open > d.workers {
		d.workers++
		d.running.Go(func() {
			for j := range d.jobs {
				if j.step == nil {
					return
				}
				d.results <- result{j, j.step.Perform(ctx, Log{Log: d.log, Seen: j.seen})}
			}
		})
	}
	d.jobs <- j
}

// dismiss ends most goroutines once no job is left: those of a burst of work have
// tens of megabytes of stack.
func (d *drive) dismiss() {
	for ; d.workers > idleWorkers; d.workers-- {
		d.jobs <- job{}
	}
}

// current reports whether all that was in the log maxLag ago has been observed.
// If that is not known, it has the log asked for its end.
func (d *drive) current(ctx context.Context, now time.Time) bool {
	switch {
	case now.Sub(d.fresh) <= maxLag:
		return true
	case d.told && d.folded >= d.target:
		d.fresh, d.told = d.proof, false
		return now.Sub(d.fresh) <= maxLag
	case !d.told && !d.asking && !now.Before(d.again):
		d.asking = true
		d.running.Go(func() {
			info, err := d.log.Info(ctx)
			d.ends <- end{now, info.Last, err}
		})
	}
	return false
}

func (d *drive) answered(a end) {
	d.asking = false
	if a.err != nil {
		d.options.Report(fmt.Errorf("ask the log for its end: %w", a.err))
		d.again = time.Now().Add(infoRetry)
		return
	}
	d.told, d.proof, d.target = true, a.asked, a.last
}
