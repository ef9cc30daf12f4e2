package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/events"
)

// tell has the log told of one thing, with what is before it.
func (r *Recorder) tell(ctx context.Context, h heard) (err error) {
	switch x := h.what.(type) {
	case caught:
		if err := r.flush(ctx); err != nil {
			return err
		}
		r.World.opened(h.plural, x.n)
		if delete(r.behind, h.plural); len(r.behind) == 0 && !r.isSynced {
			r.isSynced = true
			err = r.save(ctx)
			close(r.synced)
		}
	case listed:
		err = r.tellListed(ctx, h, x)
	case *Seen:
		err = r.tellSeen(ctx, x, false)
	case events.Entry:
		err = r.add(ctx, pending{Entry: x})
	}
	if err == nil {
		r.at[h.plural] = max(r.at[h.plural], h.rv)
	}
	return err
}

// tellListed tells what a list does not have any more, and that states of before it
// may be missing.
func (r *Recorder) tellListed(ctx context.Context, h heard, x listed) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	for _, kind := range recordedKinds {
		if pluralOf(kind) != h.plural {
			continue
		}
		for _, s := range r.lanes.Missing(kind, h.rv, x.keys) {
			if err := r.tellSeen(ctx, s, false); err != nil {
				return err
			}
		}
		for _, m := range r.Missed() {
			if m.Kind == kind && !x.keys[m.Key] && r.Objects.Get(kind, m.Key) == nil {
				if err := r.goneUntold(ctx, m, h.rv); err != nil {
					return err
				}
			}
		}
	}
	if x.first {
		return nil
	}
	gap, err := note(NoteRelisted, fmt.Sprintf("%s/%s/%d-%d", r.World.UID, h.plural, x.from, h.rv), h.plural, time.Time{},
		events.Relisted{Resource: h.plural, From: x.from, To: h.rv, Why: x.why})
	if err != nil {
		return err
	}
	return r.add(ctx, pending{Entry: gap})
}

func pluralOf(kind events.Kind) string {
	for _, r := range resources {
		if r.kind == kind {
			return r.plural
		}
	}
	return ""
}

// tellSeen tells what an object is. careful: what the log has of it is looked up and
// not believed to be what was folded.
func (r *Recorder) tellSeen(ctx context.Context, s *Seen, careful bool) error {
	if call := r.World.call(s.Key); call != nil && s.Kind == events.Pod {
		if err := r.flush(ctx); err != nil {
			return err
		}
		call.wait(ctx)
	}
	for again := true; again; {
		if r.wrote[r.Subjects.Object(s.Kind, s.Key)] { // the lane has to know of it
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		var e events.Entry
		var ok bool
		if e, ok, again = r.lanes.Tell(s); !ok {
			if s.Gone && r.lanes.misses(s.Ref) {
				return r.goneUntold(ctx, s.Ref, s.RV)
			}
			return nil
		}
		if careful || e.Expect.Last == 0 && !s.First {
			told, err := r.follow(ctx, s, &e)
			if err != nil || told {
				return err
			}
		}
		if err := r.attribute(ctx, s, &e); err != nil {
			return err
		}
		if err := r.add(ctx, pending{e, s, len(s.Data)}); err != nil {
			return err
		}
		if err := r.adopt(ctx, s, e); err != nil {
			return err
		}
	}
	return nil
}

// follow has an entry follow the last event of its object, and reports whether that makes
// it old. What another has just appended is folded first.
func (r *Recorder) follow(ctx context.Context, s *Seen, e *events.Entry) (old bool, err error) {
	last, found, err := r.latest(ctx, e.Expect.Subject)
	switch {
	case err != nil || !found:
		return false, err
	case e.Expect.Last == 0 && r.lanes.Over(s, &last):
		return true, nil
	}
	e.Expect.Last = last.Seq
	o, is := last.Body.(events.Object)
	if is && e.Type == events.ObjectType(s.Kind, events.VerbCreated) && o.UID == s.UID {
		if err := r.Objects.Await(ctx, last.Seq); err != nil {
			return false, err
		}
		if was := r.Objects.Get(s.Kind, s.Key); was != nil && was.UID == s.UID {
			return s.RV <= r.lanes.known(was), nil // if it is later, the fence says so, and it is told again
		}
	}
	return false, nil
}

// adopt has it looked for what a DaemonSet may adopt that has come.
func (r *Recorder) adopt(ctx context.Context, s *Seen, e events.Entry) error {
	if s.Kind != events.DaemonSet || s.First || e.Type != events.ObjectType(s.Kind, events.VerbCreated) {
		return nil
	}
	selector := selectorOf(s.Object)
	if selector == nil {
		return nil
	}
	for _, w := range r.adopts {
		r.group.Go(func() { w.look(ctx, s.Key.Namespace, selector.String()) })
	}
	return r.flush(ctx)
}

// latest is Log.Latest until the log answers.
func (r *Recorder) latest(ctx context.Context, subject string) (e events.Event, ok bool, err error) {
	for {
		e, ok, err = r.Log.Latest(ctx, subject)
		if err == nil || ctx.Err() != nil {
			return e, ok, err
		}
		r.Report(fmt.Errorf("latest event of %s: %w", subject, err))
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return e, false, ctx.Err()
		}
	}
}

// add puts an entry into the batch.
func (r *Recorder) add(ctx context.Context, p pending) error {
	if p.Expect.Subject != "" {
		r.wrote[p.Expect.Subject] = true
	}
	r.batch = append(r.batch, p)
	if r.bytes += p.size; len(r.batch) < batchEvents && r.bytes < batchBytes {
		return nil
	}
	return r.flush(ctx)
}

// flush appends the batch, and waits until the lanes know it.
func (r *Recorder) flush(ctx context.Context) error {
	batch := r.batch
	r.batch, r.bytes = nil, 0
	clear(r.wrote)
	if len(batch) == 0 {
		return nil
	}
	return r.append(ctx, batch)
}

// append appends what was told, together if that is worth it and else in its order, and
// waits until it is known.
func (r *Recorder) append(ctx context.Context, batch []pending) error {
	size := len(batch)
	if size < togetherFrom {
		size = 1
	}
	var last events.Seq
	for part := range slices.Chunk(batch, size) {
		es := make([]events.Entry, len(part))
		for i, p := range part {
			es[i] = p.Entry
		}
		seq, err := r.log.Submit(ctx, es...)
		if err == nil {
			last = seq
			r.mu.Lock()
			r.facts += len(part)
			r.mu.Unlock()
		} else if err := r.failed(ctx, part, err); err != nil {
			return err
		}
	}
	return r.Objects.Await(ctx, last)
}

// failed does what is left to do for what could not be appended.
func (r *Recorder) failed(ctx context.Context, batch []pending, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, events.ErrConflict):
		return r.retell(ctx, batch)
	case len(batch) > 1: // one of them is why
		for _, p := range batch {
			if err := r.append(ctx, []pending{p}); err != nil {
				return err
			}
		}
		return nil
	}
	return r.refused(ctx, batch[0], err)
}

// retell tells again what could not be appended, because somebody else has appended.
func (r *Recorder) retell(ctx context.Context, batch []pending) error {
	info, err := r.Log.Info(ctx)
	if err == nil {
		err = r.Objects.Await(ctx, info.Last)
	}
	for _, p := range batch {
		if err != nil {
			return err
		}
		if p.seen == nil {
			err = r.add(ctx, p)
		} else {
			err = r.tellSeen(ctx, p.seen, true)
		}
	}
	if err != nil {
		return err
	}
	return r.flush(ctx)
}

// load reads how far the cluster was heard for this log.
func (r *Recorder) load(ctx context.Context, info events.Info) (Cursors, error) {
	of := Cursors{Log: info.ID, Seq: info.Last, Epoch: r.Epoch, Since: r.Since, Scope: r.Scope, Pods: r.AllPods}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	for e, err := range r.Cursors.Watch(reading) {
		if err != nil {
			return Cursors{}, fmt.Errorf("read how far the cluster was heard: %w", err)
		}
		if e.Key == "" {
			break
		}
		if e.Key == cursorKey {
			r.kept = e.Rev
			if c, ok := readCursors(e.Value, of); ok {
				return c, nil
			}
		}
	}
	return Cursors{}, nil
}

// save keeps how far the cluster was heard. The batch is empty.
func (r *Recorder) save(ctx context.Context) error {
	info, err := r.Log.Info(ctx)
	if err != nil {
		r.Report(err)
		return nil
	}
	c := Cursors{Log: info.ID, Epoch: r.Epoch, Since: r.Since, Scope: r.Scope, Pods: r.AllPods, Heard: map[string]uint64{}}
	for _, res := range resources {
		if rv := r.at[res.plural]; rv > 0 {
			c.Heard[res.plural] = rv
		}
	}
	if is := string(c.encode()); is == r.saved {
		return nil
	} else {
		r.saved = is
	}
	c.Seq = r.Objects.Position()
	rev, err := r.Cursors.Put(ctx, cursorKey, c.encode(), r.kept)
	if err != nil {
		r.saved = ""
		r.Report(fmt.Errorf("keep how far the cluster was heard: %w", err))
		return nil
	}
	r.kept = rev
	return nil
}

// explain says in one line why a recorder has ended by itself.
func (r *Recorder) explain(err error) error {
	var back errRewound
	var rival errRival
	switch {
	case errors.As(err, &back):
		return &events.Error{Code: "E-KUBE-REWOUND", What: "the cluster has gone back", Where: r.World.Host, Why: back.Error() + ": its etcd was restored",
			Do: "give --accept-rewind: the log goes on with what the cluster is now, and says so", Exit: events.ExitHalt, Err: err}
	case errors.As(err, &rival):
		return r.World.Rival(rival.what)
	case errors.Is(err, errOther):
		return &events.Error{Code: "E-KUBE-CLUSTER", What: "another cluster answers at the address", Where: r.World.Host,
			Why: fmt.Sprintf("the uid of its namespace kube-system is not %s any more", r.World.UID), Do: "record it with a data directory of its own", Exit: events.ExitHalt, Err: err}
	}
	return err
}
