package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"rollcall/events"
	"rollcall/projector/table"
)

var versioner = storage.APIObjectVersioner{}

// write is one change of the object under a key.
type write struct {
	verb   string // of events
	key    string
	now    events.Object // the object as it is to be, or its last state if it is to be gone
	before []byte        // the object as it was; nil: there was none
	last   uint64        // revision of the object that the change was decided from; 0: there was none
	seen   uint64        // position of the table when that was read, or less; 0: that is not known
	quiet  bool          // the object would change in nothing that is worth a fact
}

// backend is where the writes of a store go.
type backend interface {
	// append makes w so and returns its revision when the table has it.
	// events.ErrConflict: the object has changed since w.last; the table has
	// that change when append returns.
	append(ctx context.Context, w write) (rev uint64, err error)
	// refresh returns when the table has everything that was written before
	// the call, by whomever, with a revision that covers it: of the object
	// under a path, or of all if the path is empty.
	refresh(ctx context.Context, path string) (rev uint64, err error)
	// await returns when the table has everything up to rev, if it can.
	await(ctx context.Context, rev uint64) error
	// position returns a revision up to which the table has everything.
	position() uint64
}

// store is a storage.Interface over a table: it reads from the table, and
// writes through a backend that fills it.
type store struct {
	codec   codec
	prefix  string // "/pods/"
	table   *table.Table
	backend backend
	newFunc func() runtime.Object
	sizes   atomic.Bool // Stats are to say how large objects are

	unreadable *unreadables
	quiet      func(ctx context.Context, key string) // told of changes that are not worth a fact; nil: nobody is
}

var _ storage.Interface = (*store)(nil)

// Versioner implements storage.Interface.
func (s *store) Versioner() storage.Versioner { return versioner }

// key returns the table's key of a key of the API.
func (s *store) key(key string, recursive bool) (string, error) {
	prepared, err := storage.PrepareKey(s.prefix, key, recursive)
	if err != nil {
		return "", err
	}
	// No namespace and an empty one are the same.
	return strings.TrimPrefix(strings.TrimPrefix(prepared, s.prefix), "/"), nil
}

// full is a table's key as errors name it.
func (s *store) full(key string) string { return s.prefix + key }

// state is an object as an update finds it.
type state struct {
	obj     runtime.Object
	data    []byte // the object as the log has it; nil: there is no object
	rev     uint64
	seen    uint64 // position of the table before the object was read from it; 0: a caller had it
	current bool   // the object was read from the table after the call began
}

// load reads the present state of a key. A missing object is an error, unless
// that is to be ignored.
func (s *store) load(ctx context.Context, key string, ignoreNotFound bool) (state, error) {
	if _, err := s.backend.refresh(ctx, key); err != nil {
		return state{}, s.unavailable(err)
	}
	return s.present(ctx, key, ignoreNotFound)
}

func (s *store) present(ctx context.Context, key string, ignoreNotFound bool) (state, error) {
	seen := s.backend.position()
	i := s.table.At(key)
	if i == nil {
		if !ignoreNotFound {
			return state{}, storage.NewKeyNotFoundError(s.full(key), 0)
		}
		return state{obj: s.newFunc(), seen: seen, current: true}, nil
	}
	o, err := s.read(ctx, i)
	if err != nil {
		return state{}, err
	}
	return state{obj: o, data: i.Data, rev: i.Rev, seen: seen, current: true}, nil
}

// suggested returns the state of an object that a caller has cached.
func (s *store) suggested(key string, o runtime.Object) (state, error) {
	rev, err := versioner.ObjectResourceVersion(o)
	if err != nil {
		return state{}, fmt.Errorf("couldn't get resource version: %w", err)
	}
	body, err := s.encode(key, o)
	return state{obj: o, data: body.Data, rev: rev}, err
}

// encode returns o as the log stores it under a key. o is not changed.
func (s *store) encode(key string, o runtime.Object) (events.Object, error) {
	body, err := s.codec.encode(o)
	if err != nil {
		return events.Object{}, storage.NewInternalError(err)
	}
	body.Key = table.KeyOf(key)
	return body, fits(body)
}

// Get implements storage.Interface.
func (s *store) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	key, err := s.key(key, false)
	if err != nil {
		return err
	}
	if err := s.fresh(ctx, opts.ResourceVersion, key); err != nil {
		return err
	}
	i := s.table.At(key)
	if i == nil {
		if opts.IgnoreNotFound {
			return runtime.SetZeroValue(out)
		}
		return storage.NewKeyNotFoundError(s.full(key), 0)
	}
	o, err := s.read(ctx, i)
	if err != nil {
		return err
	}
	return assign(o, out)
}

// decodeInto makes out the object that data holds.
func (s *store) decodeInto(ctx context.Context, key string, data []byte, rev uint64, out runtime.Object) error {
	o, err := s.read(ctx, &table.Item{Object: events.Object{Ref: events.Ref{Key: table.KeyOf(key)}, Data: data}, Rev: rev})
	if err != nil {
		return err
	}
	return assign(o, out)
}

// assign makes out what o is; both are pointers to one type.
func assign(o, out runtime.Object) error {
	from, err := conversion.EnforcePtr(o)
	if err != nil {
		return err
	}
	to, err := conversion.EnforcePtr(out)
	if err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %w", err)
	}
	to.Set(from)
	return nil
}

// Create implements storage.Interface. What is in the log does not expire;
// buckets have an age of their own.
func (s *store) Create(ctx context.Context, key string, obj, out runtime.Object, _ uint64) error {
	key, err := s.key(key, false)
	if err != nil {
		return err
	}
	if rv, err := versioner.ObjectResourceVersion(obj); err == nil && rv != 0 {
		return storage.ErrResourceVersionSetOnCreate
	}
	body, err := s.encode(key, obj)
	if err != nil {
		return err
	}
	rev, err := s.backend.append(ctx, write{verb: events.VerbCreated, key: key, now: body, seen: s.backend.position()})
	switch {
	case errors.Is(err, events.ErrConflict):
		return storage.NewKeyExistsError(s.full(key), 0)
	case err != nil:
		return s.refused(err)
	case out == nil:
		return nil
	}
	return s.decodeInto(ctx, key, body.Data, rev, out)
}

// Delete implements storage.Interface.
func (s *store) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, _ storage.DeleteOptions) error {
	key, err := s.key(key, false)
	if err != nil {
		return err
	}
	return s.change(ctx, key, false, cached, out, func(st state) (write, error) {
		if err := preconditions.Check(s.full(key), st.obj); err != nil {
			return write{}, err
		}
		if err := validate(ctx, st.obj); err != nil {
			return write{}, err
		}
		return write{verb: events.VerbDeleted, key: key, now: s.body(key, st), before: st.data, last: st.rev}, nil
	})
}

// body returns the object of a state as an event has it.
func (s *store) body(key string, st state) events.Object {
	o := events.Object{Ref: events.Ref{Kind: s.codec.kind(), Key: table.KeyOf(key)}, Data: st.data}
	if m, err := meta.Accessor(st.obj); err == nil {
		o.UID = m.GetUID()
	}
	if i := s.table.At(key); o.UID == "" && i != nil {
		o.UID = i.UID // of an object that cannot be read; the fold believes no end of one without
	}
	return o
}

// change makes the write that decide makes of an object's state, and has out
// be the object as it is then. It decides again when the object has changed
// meanwhile, or when decide refused a cached state, which may be old.
func (s *store) change(ctx context.Context, key string, ignoreNotFound bool, cached, out runtime.Object, decide func(state) (write, error)) error {
	st, err := s.start(ctx, key, ignoreNotFound, cached)
	for err == nil {
		w, refusal := decide(st)
		switch {
		case refusal == nil && w.verb != "":
			w.seen = st.seen
			rev, failure := s.backend.append(ctx, w)
			if failure == nil {
				return s.decodeInto(ctx, key, w.now.Data, rev, out)
			}
			if !errors.Is(failure, events.ErrConflict) {
				return s.refused(failure)
			}
			st, err = s.present(ctx, key, ignoreNotFound)
		case !st.current:
			was := st.rev
			if st, err = s.load(ctx, key, ignoreNotFound); err == nil && st.rev == was && refusal != nil {
				return refusal
			}
		case refusal != nil:
			return refusal
		default:
			if w.quiet && s.quiet != nil {
				s.quiet(ctx, key)
			}
			return s.decodeInto(ctx, key, w.now.Data, st.rev, out)
		}
	}
	return err
}

// start returns the state that a write begins with: the suggestion if there is
// one, else the present.
func (s *store) start(ctx context.Context, key string, ignoreNotFound bool, cached runtime.Object) (state, error) {
	if cached != nil {
		return s.suggested(key, cached)
	}
	return s.load(ctx, key, ignoreNotFound)
}

// GuaranteedUpdate implements storage.Interface.
func (s *store) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	key, err := s.key(key, false)
	if err != nil {
		return err
	}
	return s.change(ctx, key, ignoreNotFound, cached, destination, func(st state) (write, error) {
		return s.decide(key, st, preconditions, tryUpdate)
	})
}

// decide returns the write that tryUpdate makes of a state. One without a verb
// changes nothing that is worth a fact: its object is that of the state.
func (s *store) decide(key string, st state, preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc) (write, error) {
	if err := preconditions.Check(s.full(key), st.obj); err != nil {
		return write{}, err
	}
	out, _, err := tryUpdate(st.obj, storage.ResponseMeta{ResourceVersion: st.rev})
	if err != nil {
		return write{}, err
	}
	rv, err := versioner.ObjectResourceVersion(out)
	if err != nil {
		return write{}, storage.NewInternalError(err)
	}
	if rv != 0 && st.rev != 0 && rv != st.rev {
		return write{}, errors.New("resourceVersion can not be changed by an update")
	}
	body, err := s.encode(key, out)
	if err != nil {
		return write{}, err
	}
	w := write{verb: events.VerbUpdated, key: key, now: body, before: st.data, last: st.rev}
	switch {
	case st.rev == 0:
		w.verb = events.VerbCreated
	case !events.Worth(events.Object{Ref: body.Ref, Data: st.data}, body):
		w.verb, w.now.Data, w.quiet = "", st.data, !bytes.Equal(st.data, body.Data)
	}
	return w, nil
}

// ReadinessCheck implements storage.Interface: the log answers, and the table
// has what it holds.
func (s *store) ReadinessCheck() error {
	ctx, cancel := context.WithTimeout(context.Background(), freshWait)
	defer cancel()
	_, err := s.backend.refresh(ctx, "")
	return err
}

// Stats implements storage.Interface.
func (s *store) Stats(context.Context) (storage.Stats, error) {
	n, bytes := s.table.Size()
	st := storage.Stats{ObjectCount: n}
	if n > 0 && s.sizes.Load() {
		st.EstimatedAverageObjectSizeBytes = bytes / n
	}
	return st, nil
}

// RequestWatchProgress implements storage.Interface.
func (s *store) RequestWatchProgress(context.Context) error {
	s.table.Poke()
	return nil
}

// GetCurrentResourceVersion implements storage.Interface. It is that of the
// last change of this resource: a reader need not wait for others. Of one that
// never had an object it is the first of all, because to the cache 0 means that
// a watch does not ask for the bookmark that ends what is there already.
func (s *store) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	now, err := s.backend.refresh(ctx, "")
	if err != nil {
		return 0, s.unavailable(err)
	}
	return max(s.table.Last(), min(now, 1)), nil
}

// EnableResourceSizeEstimation implements storage.Interface; the table knows its keys.
func (s *store) EnableResourceSizeEstimation(storage.KeysFunc) error {
	s.sizes.Store(true)
	return nil
}

// CompactRevision implements storage.Interface.
func (s *store) CompactRevision() int64 { return int64(s.table.Oldest()) }
