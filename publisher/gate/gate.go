// Package gate is where programs outside come to a cluster.
//
// They tell it events, over HTTP or NATS, and each gets an answer: the position
// that it has in the log, or what is wrong with it. An event goes through the
// gate as this: the table of sources says whether its sender may tell it, the
// schema of its type whether it is one, its id whether it was told before; then it
// is merged with what the log says now, appended with a fence, and answered once
// the fold has it. An event that was told before is answered with its first
// position. Events about one thing keep the order in which they came; others do
// not wait for each other. A source has so many events under way and no more, and
// is told to come again; nobody else waits for it. What is refused is kept, with
// the reason, for whoever has to see to it.
//
// The other requests are those of a NATS micro service (service.go): whose log it
// is, where that ends, and where the Kubernetes API is.
package gate

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/projector/table"
	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/sources"
)

// eventSource is the source of the events that a gate appends.
const eventSource = "gate"

// answerTime bounds how long an event may take. What came of one that took longer
// is asked by sending it again.
const answerTime = 30 * time.Second

// State is the log as far as it is folded.
type State interface {
	Objects() *table.Tables
	// Told returns where the told event of an id is.
	Told(id ulid.ULID) (events.Seq, bool)
	// ToldLast returns the latest time that a source has told of a subject; zero: none.
	ToldLast(source, subject string) time.Time
	// Hold returns a hold that has not ended, and where it was placed; Holds those of
	// an owner.
	Hold(owner, name string) (events.Hold, events.Seq, bool)
	Holds(owner string) []events.Hold
}

// Rules are what the Kubernetes API says of an object that it would store: the
// object with its defaults, or an error of the API. A node that is new has no was.
type Rules interface {
	Node(was, now events.Object) (events.Object, error)
	PodStatus(was, now events.Object) (events.Object, error)
}

// Config says what a gate stands before.
type Config struct {
	Log      events.Log
	Subjects events.Subjects
	State    State
	Rules    Rules
	Sources  func() *sources.Table
	Prints   *Prints // which follow the log that State is folded of
	Shelf    Shelf   // of what is refused; nil: it is not kept
	Limits   envelope.Limits
	Now      func() time.Time // nil: the machine's clock
	Report   func(error)      // told of what could not be done for nobody who waits; may be nil
}

// Sender is who sends an event, and how.
type Sender struct {
	sources.Source
	Door string // "http" or "nats"
	Type string // of the event, as the door says it; empty: it does not
	// Unanswered says that nobody waits for the answer: what is refused can be seen
	// among the rejects alone.
	Unanswered bool
}

// Reply is what is sent back.
type Reply struct {
	Status int
	Body   any // publisher.Answer, *publisher.Problem or publisher.Results
}

// Gate takes events from outside. Its methods may be called from any goroutine.
type Gate struct {
	config  Config
	lanes   lanes
	clocks  clocks
	rejects rejects
	counts  counts

	mu     sync.Mutex
	queues map[string]*queue // by source
	closed bool
	open   sync.WaitGroup // messages that are not answered
}

// New returns a gate that takes events until Close.
func New(c Config) *Gate {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
	return &Gate{config: c, lanes: lanes{last: map[string]chan struct{}{}}, clocks: clocks{old: map[string]int{}},
		rejects: rejects{shelf: c.Shelf}, queues: map[string]*queue{}}
}

// Close takes no more events and returns when all that were taken are answered.
func (g *Gate) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.open.Wait()
	return nil
}

// begin returns the queue of a source for one message; nil: the gate is closed.
// Who began says g.open.Done.
func (g *Gate) begin(source string) *queue {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.open.Add(1)
	return g.queueOf(source)
}

// queue returns the queue of a source.
func (g *Gate) queue(source string) *queue {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queueOf(source)
}

func (g *Gate) queueOf(source string) *queue {
	q := g.queues[source]
	if q == nil {
		q = newQueue()
		g.queues[source] = q
	}
	return q
}

// Deliver takes a message with events and returns what to answer. With atomic all
// of them are taken, or none.
func (g *Gate) Deliver(ctx context.Context, by Sender, m envelope.Message, atomic bool) Reply {
	return g.Begin(ctx, by, m, atomic)()
}

// Begin is Deliver in two parts: when it returns, the events have their places, so
// that what is begun later comes later. finish has to be called, and waits.
func (g *Gate) Begin(ctx context.Context, by Sender, m envelope.Message, atomic bool) (finish func() Reply) {
	began := time.Now()
	over := func(p *publisher.Problem, raw []byte) func() Reply {
		return func() Reply {
			g.refuse(ctx, by, raw, m.Header, p)
			return replyOf(p)
		}
	}
	q := g.begin(by.Name)
	if q == nil {
		return over(stopping(), m.Body)
	}
	done := func(f func() Reply) func() Reply {
		return func() Reply {
			defer g.open.Done()
			return f()
		}
	}
	batch, p := envelope.Parse(m, g.config.Limits)
	if p != nil {
		return done(over(p, m.Body))
	}
	n := len(batch.Items)
	if !q.takeEvents(n) {
		g.counts.add(by.Name, "busy", n)
		return done(over(busy("source "+by.Name+" has too many events under way"), m.Body))
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	results := g.all(ctx, q, by, batch, atomic)
	return done(func() Reply {
		defer cancel()
		defer q.give(n, 0)
		rs := results()
		for i, r := range rs {
			g.counts.add(by.Name, outcome(r), 1)
			if r.Problem != nil {
				g.refuse(ctx, by, batch.Items[i].Raw, ofItem(m.Header, batch.Many), r.Problem)
			}
		}
		g.counts.took(time.Since(began))
		return reply(rs, batch.Many, atomic)
	})
}

// outcome is what became of an event, in a word.
func outcome(r publisher.Result) string {
	switch {
	case r.Problem == nil && r.Answer.Duplicate:
		return "duplicate"
	case r.Problem == nil:
		return "accepted"
	case r.Problem.Status >= http.StatusInternalServerError:
		return "failed"
	}
	return "refused"
}

func replyOf(p *publisher.Problem) Reply { return Reply{p.Status, p} }

// reply is the answer to a message: that of its one event, or a list.
func reply(results []publisher.Result, many, atomic bool) Reply {
	if !many {
		if p := results[0].Problem; p != nil {
			return replyOf(p)
		}
		return Reply{http.StatusOK, results[0].Answer}
	}
	status := http.StatusOK
	for _, r := range results {
		switch {
		case r.Problem != nil && atomic:
			status = max(status, r.Problem.Status)
		case r.Problem != nil:
			status = http.StatusMultiStatus
		}
	}
	return Reply{status, publisher.Results{Results: results}}
}

// all gives the events of a message their places, in the order in which they stand
// there, and returns what takes them.
func (g *Gate) all(ctx context.Context, q *queue, by Sender, batch envelope.Batch, atomic bool) func() []publisher.Result {
	results, ts := make([]publisher.Result, len(batch.Items)), make([]*told, len(batch.Items))
	refused := false
	for i, item := range batch.Items {
		p := item.Problem
		if p == nil {
			p = misdirected(by, item.Event.Type, batch.Many)
		}
		if p == nil {
			ts[i], p = g.admit(by, item.Event)
		}
		results[i].Problem = p
		refused = refused || p != nil
	}
	if atomic && len(ts) > 1 {
		if refused {
			return func() []publisher.Result { return allRefused(results) }
		}
		return g.together(ctx, q, ts)
	}
	for _, t := range ts {
		if t != nil {
			t.turn = g.lanes.enter(t.lanes()...)
		}
	}
	return func() []publisher.Result {
		var under sync.WaitGroup
		for i, t := range ts {
			one := func() {
				defer t.turn.leave()
				results[i] = g.take(ctx, q, t)
			}
			switch {
			case t == nil:
			case len(ts) == 1:
				one()
			default:
				under.Go(one)
			}
		}
		under.Wait()
		return results
	}
}

// misdirected says why an event of a type does not go where it was sent.
func misdirected(by Sender, typ string, many bool) *publisher.Problem {
	if many || by.Type == "" || by.Type == typ {
		return nil
	}
	return refusal(http.StatusUnprocessableEntity, "E-TOLD-TYPE", "two types", "it was sent as %s and says that it is %s; send it as what it is", quote(by.Type), quote(typ))
}

// allRefused gives those events of a batch a reason that have none of their own.
func allRefused(results []publisher.Result) []publisher.Result {
	for i, r := range results {
		if r.Problem == nil {
			results[i] = publisher.Result{Problem: refusal(http.StatusUnprocessableEntity, "E-TOLD-ATOMIC", "another was refused",
				"nothing is wrong with it, but all of the batch go or none; correct the others")}
		}
	}
	return results
}
