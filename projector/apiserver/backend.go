package apiserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"k8s.io/apiserver/pkg/endpoints/request"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/projector/story"
)

// source is that of the events that the API server appends.
const source = "apiserver"

// logBackend writes into the log, from where its reader fills the table.
type logBackend struct {
	link     *link
	subjects events.Subjects
	doubt    func(events.Event) (code, why string) // why nobody would believe an event; the code is empty if somebody will
}

// append implements backend. Each write is one event, fenced by the last one
// of its object.
func (b *logBackend) append(ctx context.Context, w write) (uint64, error) {
	if err := b.link.down(); err != nil {
		return 0, err
	}
	x := events.Expect{Subject: b.subjects.Object(w.now.Kind, w.now.Key), Last: events.Seq(w.last)}
	e := event(ctx, w)
	if err := b.believable(e, x.Subject); err != nil {
		return 0, err
	}
	seq, err := b.submit(ctx, events.Entry{Event: e, Expect: x, Bound: true}, events.Seq(w.seen))
	switch {
	case err == nil:
		return uint64(seq), b.link.objects.Await(ctx, seq)
	case !errors.Is(err, events.ErrConflict):
		return 0, err
	}
	last, _, err := b.link.log.Latest(ctx, x.Subject)
	if err != nil {
		return 0, fmt.Errorf("read what is newer than %d: %w", x.Last, err)
	}
	if err := b.link.objects.Await(ctx, last.Seq); err != nil {
		return 0, err
	}
	return 0, events.ErrConflict
}

// believable refuses an event that every reader of the log would set aside. It would be
// in the log, and its object never in the tables: whoever wrote it has to know.
func (b *logBackend) believable(e events.Event, subject string) error {
	e.Subject = subject
	code, why := b.doubt(e)
	if code == "" {
		return nil
	}
	ref := events.RefOf(e)
	return &events.Error{Code: code, What: fmt.Sprintf("the log cannot keep this %s", ref.Kind), Where: ref.Key.String(), Why: why, Exit: events.ExitInput}
}

// submit appends e, which was decided from what the log had at seen. It gives up when
// the log takes nothing or cannot be reached, because a client waits.
func (b *logBackend) submit(ctx context.Context, e events.Entry, seen events.Seq) (events.Seq, error) {
	began := time.Now()
	log := drive.Log{Log: b.link.log, Seen: seen, GiveUp: func(err error) error {
		if errors.Is(err, events.ErrUnavailable) {
			return err
		}
		if down := b.link.down(); down != nil {
			return fmt.Errorf("whether it was written is not known: %w", down)
		}
		return nil
	}}
	seq, err := log.Submit(ctx, e)
	appendTime.Observe(time.Since(began).Seconds())
	b.link.saw(seq)
	return seq, err
}

// refresh implements backend: others append too, in this process and beside it.
func (b *logBackend) refresh(ctx context.Context, _ string) (uint64, error) {
	end, err := b.link.current(ctx)
	return uint64(end), err
}

func (b *logBackend) await(ctx context.Context, rev uint64) error {
	return b.link.objects.Await(ctx, events.Seq(rev))
}

func (b *logBackend) position() uint64 { return uint64(b.link.objects.Position()) }

// event returns the event of a write: who asked for it by what, and what it
// changes.
func event(ctx context.Context, w write) events.Event {
	e := events.Event{ID: ulid.Make(), Type: events.ObjectType(w.now.Kind, w.verb), Source: source, Body: w.now}
	if w.verb == events.VerbDeleted {
		e.Body = events.Gone(w.now)
	}
	if u, ok := request.UserFrom(ctx); ok {
		e.Actor = u.GetName()
	}
	if info, ok := request.RequestInfoFrom(ctx); ok {
		e.Verb = strings.TrimSpace(info.Verb + " " + info.Subresource)
	}
	e.Manager = managerFrom(ctx)
	if w.verb == events.VerbUpdated {
		before := events.Object{Ref: w.now.Ref, Data: w.before}
		e.Change = story.Change(before, w.now)
	}
	return e
}

// frozenBackend is that of tables which nobody fills any more: it refuses
// what the server did not refuse before.
type frozenBackend struct{ *logBackend }

var errFrozen = &events.Error{Code: "E-API-READONLY", What: "the past cannot be changed", Exit: events.ExitInput}

func (b frozenBackend) append(context.Context, write) (uint64, error) { return 0, errFrozen }

func (b frozenBackend) refresh(context.Context, string) (uint64, error) { return b.position(), nil }
