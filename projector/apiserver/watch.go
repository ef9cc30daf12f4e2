package apiserver

import (
	"context"
	"errors"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/util/flowcontrol"

	"rollcall/projector/table"
)

const (
	// watchBuffer bounds the events of a watch that nobody has taken.
	watchBuffer = 100
	// bookmarkEvery is how often the watch of a cache is told how far the log
	// is, if only other resources change.
	bookmarkEvery = time.Second
	// clientBookmarkEvery is that for a client, as of etcd.
	clientBookmarkEvery = time.Minute
)

// watcher is one watch of a store.
type watcher struct {
	store     *store
	prefix    string // of the keys; a whole key if not recursive
	recursive bool
	opts      storage.ListOptions
	rev       uint64 // changes up to there were sent
	marked    uint64 // revision of the last bookmark

	out  chan watch.Event
	stop context.CancelFunc
}

// Watch implements storage.Interface.
func (s *store) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	key, err := s.key(key, opts.Recursive)
	if err != nil {
		return nil, err
	}
	rev, err := versioner.ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	initial := opts.SendInitialEvents == nil && rev == 0 || opts.SendInitialEvents != nil && *opts.SendInitialEvents
	if initial || rev == 0 {
		now, err := s.backend.refresh(ctx, "")
		if ctx.Err() != nil {
			return watch.NewEmptyWatch(), nil // nobody waits for it any more
		}
		if err != nil {
			return nil, s.unavailable(err)
		}
		if initial && rev > now {
			if err := s.reach(ctx, rev); err != nil {
				return nil, err
			}
		}
		if !initial {
			rev = now
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{store: s, prefix: key, recursive: opts.Recursive, opts: opts, rev: rev,
		out: make(chan watch.Event, watchBuffer), stop: cancel}
	go w.run(ctx, initial)
	flowcontrol.WatchInitialized(ctx)
	return w, nil
}

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.stop() }

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.out }

// errEnded ends a watch without an error for the client.
var errEnded = errors.New("the watch has ended")

func (w *watcher) run(ctx context.Context, initial bool) {
	defer close(w.out)
	defer w.stop()
	var err error
	if initial {
		err = w.sendInitial(ctx)
	}
	if err == nil {
		err = w.follow(ctx)
	}
	if !errors.Is(err, errEnded) {
		w.fail(ctx, err)
	}
}

// fail tells the client why the watch ends.
func (w *watcher) fail(ctx context.Context, err error) {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	select {
	case w.out <- watch.Event{Type: watch.Error, Object: &status}:
	case <-ctx.Done():
	}
}

// send hands an event out; errEnded: nobody wants it any more.
func (w *watcher) send(ctx context.Context, kind watch.EventType, o runtime.Object) error {
	select {
	case w.out <- watch.Event{Type: kind, Object: o}:
		return nil
	case <-ctx.Done():
		return errEnded
	}
}

// sendInitial sends every object as it is as added, and the bookmark that ends
// them if it was asked for.
func (w *watcher) sendInitial(ctx context.Context) (err error) {
	position := w.store.backend.position() // before the objects: they may be newer, not older
	items, last := w.store.table.Snapshot()
	w.rev = max(position, last)
	each := func(i *table.Item) bool {
		err = w.change(ctx, table.Change{Rev: i.Rev, Key: i.Key, Now: i})
		return err == nil
	}
	if w.recursive {
		items.From(w.prefix, "", each)
	} else if i := items.At(w.prefix); i != nil {
		each(i)
	}
	if err != nil || w.opts.SendInitialEvents == nil || !w.opts.Predicate.AllowWatchBookmarks {
		return err
	}
	return w.bookmark(ctx, w.rev, true)
}

// follow sends changes as they come.
func (w *watcher) follow(ctx context.Context) error {
	var tick <-chan time.Time
	if w.opts.ProgressNotify || w.opts.Predicate.AllowWatchBookmarks {
		every := clientBookmarkEvery
		if w.opts.ProgressNotify {
			every = bookmarkEvery
		}
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	nudged := uint64(0)
	for {
		position := w.store.backend.position() // what has come until now is in the table
		cs, wake, nudge, ok := w.store.table.Since(w.rev)
		if !ok {
			return apierrors.NewResourceExpired("The resourceVersion for the provided watch is too old.")
		}
		for _, c := range cs {
			if err := w.changed(ctx, c); err != nil {
				return err
			}
		}
		if len(cs) > 0 {
			continue
		}
		w.rev = max(w.rev, position)
		if nudge != nudged && w.opts.ProgressNotify {
			if err := w.progress(ctx); err != nil {
				return err
			}
		}
		nudged = nudge
		select {
		case <-wake:
		case <-tick:
			if err := w.progress(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return errEnded
		}
	}
}

func (w *watcher) progress(ctx context.Context) error {
	if w.rev == w.marked {
		return nil
	}
	return w.bookmark(ctx, w.rev, false)
}

func (w *watcher) bookmark(ctx context.Context, rev uint64, initial bool) error {
	o := w.store.newFunc()
	if err := versioner.UpdateObject(o, rev); err != nil {
		return err
	}
	if initial {
		if err := storage.AnnotateInitialEventsEndBookmark(o); err != nil {
			return err
		}
	}
	w.marked = rev
	return w.send(ctx, watch.Bookmark, o)
}

func (w *watcher) changed(ctx context.Context, c table.Change) error {
	if c.Rev <= w.rev {
		return nil // a revision of the future was asked for
	}
	if w.recursive && !strings.HasPrefix(c.Path(), w.prefix) || !w.recursive && c.Path() != w.prefix {
		w.rev = c.Rev
		return nil
	}
	err := w.change(ctx, c)
	w.rev = c.Rev
	return err
}

// change sends what a change is to this client: an object that begins to match
// is added, one that ceases to is deleted.
func (w *watcher) change(ctx context.Context, c table.Change) error {
	now, is, err := w.object(c.Now, c.Rev)
	if err != nil {
		return err
	}
	if is && c.Prev == nil {
		return w.send(ctx, watch.Added, now)
	}
	if is && w.opts.Predicate.Empty() && !w.store.unreadable.has(c.Prev) {
		return w.send(ctx, watch.Modified, now)
	}
	// A deleted object is told as it last was, at the revision of its deletion.
	prev, was, err := w.object(c.Prev, c.Rev)
	switch {
	case err != nil:
		return err
	case is && was:
		return w.send(ctx, watch.Modified, now)
	case is:
		return w.send(ctx, watch.Added, now)
	case was:
		return w.send(ctx, watch.Deleted, prev)
	}
	return nil
}

// object decodes an item and reports whether the client wants it: it does not
// want what cannot be read. What cannot be converted ends the watch.
func (w *watcher) object(i *table.Item, rev uint64) (runtime.Object, bool, error) {
	if i == nil {
		return nil, false, nil
	}
	o, err := w.store.codec.decode(i.Data, rev)
	if isNotConverted(err) {
		return nil, false, err
	}
	if err != nil {
		w.store.unreadable.meet(i)
		return nil, false, nil
	}
	if w.opts.Predicate.Empty() {
		return o, true, nil
	}
	ok, err := w.opts.Predicate.Matches(o)
	return o, ok && err == nil, nil
}
