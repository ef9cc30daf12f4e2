package apiserver

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"rollcall/projector/table"
)

// freshWait is how long a read waits for a revision that is not there yet.
const freshWait = 3 * time.Second

// fresh waits until the table, or what it has under a key, is not older than a
// client asks for: with an empty revision not older than the call, with "0" of
// any age.
func (s *store) fresh(ctx context.Context, resourceVersion, key string) error {
	switch resourceVersion {
	case "":
		if _, err := s.backend.refresh(ctx, key); err != nil {
			return s.unavailable(err)
		}
		return nil
	case "0":
		return nil
	}
	rev, err := versioner.ParseResourceVersion(resourceVersion)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	return s.reach(ctx, rev)
}

// reach waits for a revision, or tells the client to come again for it.
func (s *store) reach(ctx context.Context, rev uint64) error {
	waiting, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	err := s.backend.await(waiting, rev)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return storage.NewTooLargeResourceVersionError(rev, s.backend.position(), 1)
	}
	if err != nil {
		return s.unavailable(err)
	}
	return nil
}

// GetList implements storage.Interface.
func (s *store) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	key, err := s.key(key, opts.Recursive)
	if err != nil {
		return err
	}
	at, from, err := storage.ValidateListOptions(s.full(key), versioner, opts)
	if err != nil {
		return err
	}
	into, err := itemsOf(list)
	if err != nil {
		return err
	}
	items, rev, err := s.itemsAt(ctx, uint64(at), opts, s.full(key), from)
	if err != nil {
		return err
	}
	if from != "" {
		from = from[len(s.prefix):]
	}
	p := page{store: s, opts: opts, into: into}
	if opts.Recursive {
		items.From(key, from, func(i *table.Item) bool { return p.take(ctx, i) })
	} else if i := items.At(key); i != nil {
		p.take(ctx, i)
	}
	if p.err != nil {
		return p.err
	}
	left := int64(0)
	if p.more {
		items.From(key, p.last+"\x00", func(*table.Item) bool { left++; return true })
	}
	next, remaining, err := storage.PrepareContinueToken(s.full(p.last), s.full(key), int64(rev), p.seen+left, p.more, opts)
	if err != nil {
		return err
	}
	opts.Predicate.SetShardInfoOnList(list)
	return versioner.UpdateList(list, rev, next, remaining)
}

// itemsAt returns the objects to list from and their revision: at a revision
// if one is asked for, else not older than the options want.
func (s *store) itemsAt(ctx context.Context, at uint64, opts storage.ListOptions, prefix, from string) (table.Rows, uint64, error) {
	if at == 0 {
		if err := s.fresh(ctx, opts.ResourceVersion, ""); err != nil {
			return table.Rows{}, 0, err
		}
		rev := s.backend.position() // before the objects: they may be newer, not older
		items, last := s.table.Snapshot()
		return items, max(rev, last), nil
	}
	if at > s.backend.position() {
		if err := s.reach(ctx, at); err != nil {
			return table.Rows{}, 0, err
		}
	}
	items, ok := s.table.SnapshotAt(at)
	switch {
	case ok:
		return items, at, nil
	case from == "":
		return table.Rows{}, 0, apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	return table.Rows{}, 0, expiredContinue(from, prefix)
}

// expiredContinue refuses a list that goes on from a revision which is
// forgotten, and offers to go on from the present.
func expiredContinue(from, prefix string) error {
	token, err := storage.EncodeContinue(from, prefix, -1)
	if err != nil {
		return apierrors.NewResourceExpired("The provided continue parameter is too old: start a new list without it.")
	}
	e := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result: " +
		"start a new list without it, or use the continue token in this response for the rest of the list as it is now.")
	e.ErrStatus.ListMeta.Continue = token
	return e
}

// itemsOf returns the settable slice of a list's items, which is not nil.
func itemsOf(list runtime.Object) (reflect.Value, error) {
	ptr, err := meta.GetItemsPtr(list)
	if err != nil {
		return reflect.Value{}, err
	}
	v, err := conversion.EnforcePtr(ptr)
	if err != nil || v.Kind() != reflect.Slice {
		return reflect.Value{}, fmt.Errorf("%T has no list of items: %w", list, err)
	}
	if v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	return v, nil
}

// page gathers the items of one answer.
type page struct {
	store *store
	opts  storage.ListOptions
	into  reflect.Value

	seen int64  // items looked at
	last string // key of the last of them
	more bool   // there are others after it
	err  error
}

// take adds an item that the client wants and reports whether it goes on.
func (p *page) take(ctx context.Context, i *table.Item) bool {
	if limit := p.opts.Predicate.Limit; limit > 0 && int64(p.into.Len()) >= limit {
		p.more = true
		return false
	}
	if ctx.Err() != nil {
		p.err = storage.NewTimeoutError(p.store.full(i.Path()), "request did not complete within requested timeout")
		return false
	}
	o, err := p.store.read(ctx, i)
	if isNotConverted(err) {
		p.err = err
		return false
	}
	if err != nil {
		return true // the list goes on without it; lazyCache warns
	}
	p.seen, p.last = p.seen+1, i.Path()
	if ok, err := p.opts.Predicate.Matches(o); err == nil && ok {
		p.into.Set(reflect.Append(p.into, reflect.ValueOf(o).Elem()))
	}
	return true
}
