package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/events"
)

// refused tells of an object that the log does not take, by its name: what the log has
// of it is old from there on, and so nothing is decided about the DaemonSet that it is or
// belongs to.
func (r *Recorder) refused(ctx context.Context, p pending, why error) error {
	if p.seen == nil {
		r.Warn(fmt.Sprintf("a note is not recorded: %v", why))
		return nil
	}
	code, typ := "E-KUBE-STRANGE", events.NoteStrange
	if errors.Is(why, events.ErrTooLarge) {
		code, typ = "E-KUBE-LARGE", events.NoteLarge
	}
	s := p.seen
	text, about := fmt.Sprintf("%s: %s is not recorded as it is at revision %d: %v", code, s.Ref, s.RV, why), s.about()
	if len(about) > 0 && about[len(about)-1].Kind == events.DaemonSet {
		text += fmt.Sprintf("; nothing is done for %s until it is", about[len(about)-1])
	}
	r.Warn(text)
	return r.note(ctx, typ, fmt.Sprintf("%s/%d", s.UID, s.RV), s.Key.String(),
		map[string]any{"code": code, "kind": string(s.Kind), "bytes": len(s.Data), "revision": s.RV}, about...)
}

// goneUntold tells that an object is gone which the log did not take: there is no fact of
// it that its end could follow.
func (r *Recorder) goneUntold(ctx context.Context, ref events.Ref, rv uint64) error {
	return r.note(ctx, events.NoteGone, fmt.Sprintf("%s/%s/%d", ref.Kind, ref.Key, rv), ref.Key.String(), map[string]any{"kind": string(ref.Kind), "revision": rv}, ref)
}

// note appends a note, and waits until it is known.
func (r *Recorder) note(ctx context.Context, typ, id, subject string, data any, about ...events.Ref) error {
	n, err := note(typ, id, subject, time.Time{}, data, about...)
	if err != nil {
		return err
	}
	seq, err := r.log.Submit(ctx, n)
	if err != nil {
		return err
	}
	return r.Objects.Await(ctx, seq)
}

// about is what a note can name of an object, and the DaemonSet that it is or belongs to.
func (s *Seen) about() (refs []events.Ref) {
	if events.CheckObjectName(s.Kind, s.Key) != "" {
		return nil
	}
	refs = []events.Ref{s.Ref}
	if c := s.owner; c != nil && c.Kind == string(events.DaemonSet) && groupOf(c) == events.DaemonSet.Group() {
		refs = append(refs, events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: s.Key.Namespace, Name: c.Name}, UID: c.UID})
	}
	return refs
}
