package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"rollcall/events"
)

// heard is one thing that a watcher says. With it all of the resource is said until
// the revision rv; 0: that is not said.
type heard struct {
	plural string
	rv     uint64
	at     time.Time
	what   any // *Seen, listed, caught, an events.Entry of a note, or nil
}

// caught says that a watch is open, the n-th of its resource, or that a list was all
// that is asked for.
type caught struct{ n int }

// listed ends what a list has said.
type listed struct {
	keys  map[events.Key]bool
	from  uint64 // what was heard last before; 0: nobody knows
	why   string
	first bool // nothing was
}

// watcher says what a cluster says of one resource, in its order.
type watcher struct {
	cluster *Cluster
	resource
	out    chan<- heard
	report func(error) // told of what is tried again
	ended  func(n int) // told that the n-th watch has ended
	first  bool        // the log knows nothing of the kind
	once   bool        // what there is, and no more
	until  uint64      // with once: the revision of the cluster that is enough; 0: the one it has when it is asked first

	rv   uint64 // all until here was said
	n    int    // watches that were opened
	list string // why it has to be listed; empty: it has not

	clock time.Time // when the last write was that the watch has told of, by the cluster's clock
}

// Pauses between two tries.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
)

// How long one watch lasts, and one that only says what there is: if a server has said nothing
// for so long it has no more to say of before, as a resource has few revisions of its cluster.
const (
	watchTime = 5 * time.Minute
	onceTime  = 2 * time.Second
	pageSize  = 500
)

// errRewound ends a watcher: the cluster has gone back.
type errRewound struct {
	plural   string
	now, was uint64
}

func (e errRewound) Error() string {
	return fmt.Sprintf("%s are at revision %d, and were heard of at %d", e.plural, e.now, e.was)
}

// errOther ends a watcher: another cluster answers.
var errOther = errors.New("another cluster answers at the address")

// run says what there is and what changes until ctx is done, or the cluster is not the
// one that it was; with once it ends when all was said until the revision that is enough, or a
// watch says no more, which it does not if a list is due after it. What fails is tried again.
func (w *watcher) run(ctx context.Context) error {
	for pause := firstPause; ; {
		was := w.rv
		err := w.again(ctx)
		var rewound errRewound
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &rewound), errors.Is(err, errOther), err == nil && w.once && w.list == "" && (w.rv == was || w.rv >= w.until):
			return err
		case err == nil || w.rv > was:
			pause = firstPause
		}
		if err == nil {
			continue
		}
		w.report(w.cluster.trouble("watch "+w.plural, err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}

// again asks whether the cluster is what it was, lists if that has to be, and watches
// until the watch ends.
func (w *watcher) again(ctx context.Context) error {
	if err := w.check(ctx); err != nil {
		return err
	}
	if w.list != "" {
		if err := w.lists(ctx); err != nil {
			return err
		}
		if w.once {
			return nil
		}
	}
	return w.watches(ctx)
}

// check asks whether it is the same cluster, and one that has not gone back.
func (w *watcher) check(ctx context.Context) error {
	uid, err := w.cluster.uid(ctx)
	if err != nil {
		return err
	}
	if uid != w.cluster.UID {
		return errOther
	}
	now, err := w.cluster.now(ctx, w.resource)
	if err == nil && now < w.rv {
		return errRewound{w.plural, now, w.rv}
	}
	w.until = cmp.Or(w.until, now)
	return err
}

// say hands on what was heard. It waits while the log takes nothing: the watch is not
// read on then, and the server ends it.
func (w *watcher) say(ctx context.Context, rv uint64, what any) error {
	select {
	case w.out <- heard{w.plural, rv, time.Now(), what}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lists says what there is, and then that it was all.
func (w *watcher) lists(ctx context.Context) error {
	o := metav1.ListOptions{Limit: pageSize}
	if w.rv > 0 {
		o.ResourceVersion, o.ResourceVersionMatch = fmt.Sprint(w.rv), metav1.ResourceVersionMatchNotOlderThan
	}
	end := listed{keys: map[events.Key]bool{}, from: w.rv, why: w.list, first: w.first}
	for {
		list, items, err := w.cluster.page(ctx, w.resource, "", o)
		if err != nil {
			return err
		}
		if w.kind == "" {
			items = nil // Events of before are of no use
		}
		for _, o := range items {
			s, err := w.read(o, false)
			if err != nil {
				return err
			}
			s.Listed, s.First = true, w.first
			end.keys[s.Key] = true
			if err := w.say(ctx, 0, s); err != nil {
				return err
			}
		}
		if o.Continue = list.GetContinue(); o.Continue != "" {
			o.ResourceVersion, o.ResourceVersionMatch = "", ""
			continue
		}
		rv, err := revision(list.GetResourceVersion())
		if err != nil {
			return err
		}
		w.rv, w.list, w.first = rv, "", false
		return w.say(ctx, rv, end)
	}
}

// begin lists until that has worked.
func (w *watcher) begin(ctx context.Context) error {
	once := *w
	once.once, once.until = true, 1 // the list is enough
	err := once.run(ctx)
	w.rv, w.list, w.first = once.rv, once.list, once.first
	return err
}

// look says what there is of one namespace that matches a selector: a DaemonSet has
// come that may adopt it. It is tried until that has worked.
func (w *watcher) look(ctx context.Context, namespace, selector string) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		err := w.matching(ctx, namespace, selector)
		if err == nil {
			return
		}
		w.report(w.cluster.trouble("list "+w.plural+" that a DaemonSet selects", err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (w *watcher) matching(ctx context.Context, namespace, selector string) error {
	_, items, err := w.cluster.page(ctx, w.resource, namespace, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	for _, o := range items {
		s, err := w.read(o, false)
		if err != nil {
			return err
		}
		if err := w.say(ctx, 0, s); err != nil {
			return err
		}
	}
	return nil
}

// read takes an object apart.
func (w *watcher) read(o runtime.Object, gone bool) (*Seen, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return nil, fmt.Errorf("%s: an answer has a %T", w.plural, o)
	}
	return read(w.kind, m, gone)
}

// watches says what changes, until the server ends the watch.
func (w *watcher) watches(ctx context.Context) error {
	lasts := watchTime
	if w.once {
		if lasts = onceTime; w.rv >= w.until {
			return nil
		}
	}
	seconds := int64(lasts / time.Second)
	changes, err := w.cluster.watch(ctx, w.resource, metav1.ListOptions{ResourceVersion: fmt.Sprint(w.rv), AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return w.expired(err)
	}
	w.n++
	defer w.ended(w.n)
	defer changes.Stop()
	if !w.once {
		if err := w.say(ctx, 0, caught{w.n}); err != nil {
			return err
		}
	}
	for e := range changes.ResultChan() {
		if err := w.change(ctx, e); err != nil {
			return err
		}
		if w.once && w.rv >= w.until {
			break
		}
	}
	return ctx.Err()
}

// change says one change.
func (w *watcher) change(ctx context.Context, e watch.Event) (err error) {
	if e.Type == watch.Error {
		return w.expired(apierrors.FromObject(e.Object))
	}
	m, ok := e.Object.(metav1.Object)
	if !ok {
		return fmt.Errorf("the watch has a %T", e.Object)
	}
	rv, err := revision(m.GetResourceVersion())
	if err != nil {
		return err
	}
	var what any
	switch x := e.Object.(type) {
	case *corev1.Event:
		if n, ok := noted(x); ok && e.Type != watch.Deleted && e.Type != watch.Bookmark {
			what = n
		}
	default:
		if e.Type == watch.Bookmark {
			break
		}
		s, err := w.read(e.Object, e.Type == watch.Deleted)
		if err != nil {
			return err
		}
		s.clock = w.clock
		if at := s.newest(); at.After(w.clock) {
			w.clock = at
		}
		what = s
	}
	w.rv = rv
	return w.say(ctx, rv, what)
}

// expired has a resource listed whose changes the cluster has forgotten.
func (w *watcher) expired(err error) error {
	if err == nil || !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		return err
	}
	w.list = fmt.Sprintf("the cluster has forgotten what was after revision %d", w.rv)
	return nil
}
