// Package gate is the door through which people and tools change the world:
// it checks a request against the present state, completes it, appends the
// facts and answers with their positions, or refuses in one line and appends
// nothing.
//
// Every write is fenced by the position of the object that it was decided
// from. If another writer was faster, the request is decided again from a
// later state, so an answer is never about a state that is no longer so. Of
// several objects that one request writes together, the fence holds for one of
// them, see Apply.
//
// A Gate is safe for concurrent use if its functions are.
package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/publisher/manifest"
)

// Source is what the gate's events name as their source.
const Source = "gate"

// Objects is the state of all objects at one position.
type Objects interface {
	// Object returns an object and the position of its newest fact; ok is false
	// if there is none, or none any more.
	Object(k events.Kind, key events.Key) (o events.Object, last events.Seq, ok bool)
	// List returns the objects of a kind in a namespace, in all if it is empty,
	// ordered by key.
	List(k events.Kind, namespace string) []events.Object
}

// Store is state that follows a log.
type Store interface {
	// View calls f once with the state at a position that is not before atLeast,
	// waiting for it if it must. What f is given is not kept.
	View(ctx context.Context, atLeast events.Seq, f func(Objects)) error
}

// Log is what the gate needs of a log.
type Log interface {
	events.Appender
	Latest(ctx context.Context, subject string) (e events.Event, ok bool, err error)
	Info(ctx context.Context) (events.Info, error)
}

// Gate changes objects on behalf of others.
type Gate struct {
	log      Log
	subjects events.Subjects
	store    Store
	clock    func() time.Time
	newID    func() ulid.ULID
	newUID   func() types.UID
}

// New returns a gate to log. store follows the same log. newID and newUID
// return another value at each call.
func New(log Log, subjects events.Subjects, store Store, clock func() time.Time, newID func() ulid.ULID, newUID func() types.UID) *Gate {
	return &Gate{log: log, subjects: subjects, store: store, clock: clock, newID: newID, newUID: newUID}
}

// Cluster returns the name of the cluster whose objects the gate changes.
func (g *Gate) Cluster() string { return g.subjects.Cluster() }

// Bounds of one request.
const (
	maxTries = 10  // decisions of one write while others write the same object
	maxBatch = 500 // facts that are appended together
)

// change is a fact to append and what is said about it.
type change struct {
	kind events.Kind
	verb string        // of events: created, updated, deleted; empty: nothing changes
	now  metav1.Object // as it is to be, or its last state if it is to be gone
	last events.Seq    // position of its newest fact that the decision saw; 0: none
	what string        // the answer
}

// nothing returns a change that appends nothing and answers what.
func nothing(k events.Kind, o metav1.Object, what string) change {
	return change{kind: k, now: o, what: what}
}

// event returns the fact of a change.
func (g *Gate) event(c change, actor string) (events.Event, error) {
	o, err := events.NewObject(c.kind, c.now)
	if err != nil {
		return events.Event{}, err
	}
	e := events.Event{ID: g.newID(), Type: events.ObjectType(c.kind, c.verb), Source: Source, Actor: actor, At: g.clock(), Body: o}
	if c.verb == events.VerbDeleted {
		e.Body = events.Gone(o)
	}
	return e, nil
}

// decision is made from a state; it may be made several times.
type decision func(Objects) ([]change, error)

// write decides from a state that holds everything appended before the call,
// appends the changes, and answers. Lost fences make it decide again.
func (g *Gate) write(ctx context.Context, actor string, decide decision) ([]Result, error) {
	info, err := g.log.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the end of the log: %w", err)
	}
	at := info.Last
	for range maxTries {
		changes, err := g.decide(ctx, at, decide)
		if err != nil {
			return nil, err
		}
		results, later, err := g.append(ctx, actor, changes)
		if !errors.Is(err, events.ErrConflict) {
			return results, err
		}
		at = max(at, later)
	}
	return nil, &events.Error{Code: "E-GATE-CONFLICT", What: "the object changes faster than it can be written",
		Why: fmt.Sprintf("%d tries met another writer", maxTries), Do: "try again", Exit: events.ExitFailure, Err: events.ErrConflict}
}

func (g *Gate) decide(ctx context.Context, at events.Seq, decide decision) (changes []change, err error) {
	var bad error
	if err := g.store.View(ctx, at, func(o Objects) { changes, bad = decide(o) }); err != nil {
		return nil, fmt.Errorf("read the state at %d: %w", at, err)
	}
	return changes, bad
}

// append appends the changes in batches of maxBatch and returns one result a
// change. With ErrConflict it also returns a position to decide again from.
func (g *Gate) append(ctx context.Context, actor string, changes []change) ([]Result, events.Seq, error) {
	results := make([]Result, len(changes))
	var batch []int
	flush := func() (events.Seq, error) {
		if len(batch) == 0 {
			return 0, nil
		}
		later, err := g.appendBatch(ctx, actor, changes, batch, results)
		batch = batch[:0]
		return later, err
	}
	for i, c := range changes {
		results[i] = Result{Ref: refOf(events.RefFor(c.kind, c.now)), What: c.what}
		if c.verb == "" {
			continue
		}
		if batch = append(batch, i); len(batch) == maxBatch {
			if later, err := flush(); err != nil {
				return nil, later, err
			}
		}
	}
	later, err := flush()
	return results, later, err
}

// appendBatch appends the changes with these indexes as one, fenced by the
// first that replaces an object, or by the first of all.
func (g *Gate) appendBatch(ctx context.Context, actor string, changes []change, batch []int, results []Result) (events.Seq, error) {
	es := make([]events.Entry, len(batch))
	fence := changes[batch[0]]
	for j, i := range batch {
		e, err := g.event(changes[i], actor)
		if err != nil {
			return 0, err
		}
		es[j].Event = e
		if fence.last == 0 {
			fence = changes[i]
		}
	}
	if fence.last == 0 {
		fence = changes[batch[0]]
	}
	key := events.Key{Namespace: fence.now.GetNamespace(), Name: fence.now.GetName()}
	x := events.Expect{Subject: g.subjects.Object(fence.kind, key), Last: fence.last}
	seq, later, err := g.appendFenced(ctx, x, fence.verb == events.VerbCreated, es)
	if err != nil {
		return later, err
	}
	for j, i := range batch {
		results[i].Seq = seq - events.Seq(len(batch)-1-j)
		results[i].ID = es[j].ID.String()
	}
	return 0, nil
}

// appendFenced appends es. It tries the same events again while the outcome is
// unknown, and puts a new object over the tombstone of an old one. With
// ErrConflict it returns the position of what was in the way.
func (g *Gate) appendFenced(ctx context.Context, x events.Expect, creates bool, es []events.Entry) (seq, later events.Seq, err error) {
	for range maxTries {
		es[0].Expect = x
		seq, err = g.log.Append(ctx, es...)
		switch {
		case err == nil:
			return seq, 0, nil
		case errors.Is(err, events.ErrUnknown) && ctx.Err() == nil:
			continue
		case errors.Is(err, events.ErrTooLarge):
			return 0, 0, &events.Error{Code: "E-GATE-SIZE", What: "the object is larger than the log takes", Where: x.Subject,
				Do: "make it smaller: annotations are the usual cause", Exit: events.ExitInput, Err: err}
		case !errors.Is(err, events.ErrConflict):
			return 0, 0, fmt.Errorf("append %d events: %w", len(es), err)
		}
		e, ok, lerr := g.log.Latest(ctx, x.Subject)
		if lerr != nil {
			return 0, 0, fmt.Errorf("find the newest event of %s: %w", x.Subject, lerr)
		}
		_, gone := e.Body.(events.Gone)
		if !ok || !creates || !gone || e.Seq == x.Last {
			return 0, e.Seq, err
		}
		x.Last = e.Seq
	}
	return 0, 0, fmt.Errorf("append %d events, %d tries: %w", len(es), maxTries, err)
}

// load decodes an object of the state into o, or refuses with the nearest
// names that exist. what names the kind in the refusal.
func load(s Objects, k events.Kind, key events.Key, o metav1.Object) (events.Seq, error) {
	found, last, ok := s.Object(k, key)
	if !ok {
		return 0, notFound(s, k, key)
	}
	if err := found.Decode(o); err != nil {
		return 0, err
	}
	return last, nil
}

// maxNear is how many names a refusal suggests.
const maxNear = 3

func notFound(s Objects, k events.Kind, key events.Key) error {
	e := &events.Error{Code: "E-GATE-NOTFOUND", What: fmt.Sprintf("%s %q not found", manifest.Resource(k), key.Name), Exit: events.ExitInput}
	if key.Namespace != "" {
		e.Where = "namespace " + key.Namespace
	}
	var names []string
	elsewhere := ""
	for _, o := range s.List(k, "") {
		if o.Key.Namespace == key.Namespace {
			names = append(names, o.Key.Name)
		} else if o.Key.Name == key.Name && elsewhere == "" {
			elsewhere = o.Key.Namespace
		}
	}
	near := events.Nearest(key.Name, names, maxNear)
	switch {
	case elsewhere != "":
		e.Do = fmt.Sprintf("namespace %s has one of this name: use --namespace %s", elsewhere, elsewhere)
	case len(near) > 0:
		e.Do = "did you mean " + oneOf(near) + "?"
	case len(names) == 0:
		e.Why = "there is none at all"
	default:
		e.Do = fmt.Sprintf("list the %d that there are with rollcall kubectl get %s -A", len(names), manifest.Resource(k))
	}
	return e
}

// oneOf writes names as "a, b or c".
func oneOf(names []string) string {
	out := names[0]
	for i, n := range names[1:] {
		sep := ", "
		if i == len(names)-2 {
			sep = " or "
		}
		out += sep + n
	}
	return out
}

func named(k events.Kind, name, what string) string {
	return manifest.Resource(k) + "/" + name + " " + what
}
