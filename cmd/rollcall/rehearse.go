package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rollcall/cmd/rollcall/instance"
	"rollcall/cmd/rollcall/manifest"
	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
)

// rehearsal is what the cluster, as it was at an instant, says to documents.
type rehearsal struct {
	docs    []manifest.Rehearsed
	intents []play.Intent // of the objects that a log has, in the same order
}

// rehearse asks the API of the cluster as it was after an event for a dry run of
// documents: so they get its defaults, and are refused by its rules.
func (s *session) rehearse(ctx context.Context, t *target, at events.Seq, namespace string, docs []*manifest.Document) (r rehearsal, err error) {
	instant, err := replay.ParseInstant(fmt.Sprint(at), time.Now())
	if err != nil {
		return r, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p, err := s.servePastInside(ctx, t, instant)
	if err != nil {
		return r, err
	}
	a, err := manifest.NewApplier(p.api.Server.LoopbackAs(actor()), namespace, docs, s.Warn)
	if err != nil {
		return r, err
	}
	if err := a.Rehearse(ctx); err != nil {
		return r, err
	}
	if r.docs, err = a.Rehearsed(ctx); err != nil {
		return r, err
	}
	for _, d := range r.docs {
		i, err := play.NewIntent(events.KindOf(d.GroupVersionKind().Group, d.GetKind()), d.Before, d.After)
		if err != nil {
			return r, err
		}
		r.intents = append(r.intents, i)
	}
	stop()
	<-p.ended
	return r, nil
}

// changes reports whether any object is to be otherwise than it is.
func (r rehearsal) changes() bool {
	for _, i := range r.intents {
		if i.Changes() {
			return true
		}
	}
	return false
}

// servePastInside serves the cluster as it was to clients in this process, until
// ctx is done.
func (s *session) servePastInside(ctx context.Context, t *target, at replay.Instant) (*past, error) {
	if err := logKubernetes(-1); err != nil {
		return nil, err
	}
	was, m, err := s.readPast(ctx, t, at)
	if err != nil {
		return nil, err
	}
	p, err := openPast(ctx, reopened{session: s, target: t}, was, m, instance.API{})
	if err != nil {
		return nil, err
	}
	select {
	case <-p.api.Server.Ready():
		return p, nil
	case err := <-p.ended:
		return nil, fmt.Errorf("serve the past: %w", err)
	}
}

// daemonSetsOf returns the names of the DaemonSets among intents.
func daemonSetsOf(intents []play.Intent) (keys []events.Key) {
	for _, i := range intents {
		if i.After.Kind == events.DaemonSet {
			keys = append(keys, i.After.Key)
		}
	}
	return keys
}

// cutSet reads FIELD=VALUE of a DaemonSet, or the whole of it with its name.
func cutSet(text string, of events.Key) string {
	if rest, whole := strings.CutPrefix(text, "ds/"); whole {
		return rest
	}
	return of.String() + "." + text
}
