package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// KVOptions say what a bucket is for.
type KVOptions struct {
	Name          string        // of the bucket among those of its cluster: a DNS-1123 label
	MaxAge        time.Duration // after which a value is gone; 0: never
	MemoryStorage bool
	// Replicas as Options has it; the bucket of a log has those of the log.
	Replicas int
	// Health returns why nothing can be put now: that of the log beside it. nil: not asked.
	Health func() error
}

// KV keeps the newest value of each key in a stream of its own beside the
// log, for what beats often or is not worth keeping: leases, core Events. It is
// a JetStream key-value bucket. Its methods may be called from any goroutine.
type KV struct {
	kv     jetstream.KeyValue
	health func() error
}

// markerTTL is how long the stream remembers that a value went by its age: long
// enough for every reader to be told.
const markerTTL = time.Minute

// OpenKV opens a bucket of a cluster, and makes it if there is none.
func OpenKV(ctx context.Context, nc *nats.Conn, s events.Subjects, o KVOptions) (*KV, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", o.Name, err)
	}
	c := jetstream.KeyValueConfig{Bucket: s.Bucket(o.Name), History: 1, TTL: o.MaxAge}
	if o.MaxAge > 0 {
		c.LimitMarkerTTL = markerTTL
	}
	if o.MemoryStorage {
		c.Storage = jetstream.MemoryStorage
	}
	kv, err := openBucket(ctx, js, c, o.Replicas)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", o.Name, err)
	}
	return &KV{kv, o.Health}, nil
}

// openBucket opens a bucket, and makes it if there is none. One with fewer
// replicas than are asked for gets them; none are taken away.
func openBucket(ctx context.Context, js jetstream.JetStream, c jetstream.KeyValueConfig, replicas int) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, c.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		c.Replicas = max(replicas, 1)
		kv, err = js.CreateKeyValue(ctx, c)
	}
	if errors.Is(err, jetstream.ErrBucketExists) { // somebody else was faster
		kv, err = js.KeyValue(ctx, c.Bucket)
	}
	if err != nil {
		return nil, err
	}
	st, err := js.Stream(ctx, "KV_"+c.Bucket)
	if err != nil {
		return nil, err
	}
	have := st.CachedInfo().Config
	if have.Replicas >= replicas {
		return kv, nil
	}
	have.Replicas = replicas
	if _, err := js.UpdateStream(ctx, have); err != nil {
		return nil, replicasError(err, replicas)
	}
	return kv, nil
}

// Put makes value the value of key and returns its revision, which rises with
// each change of the bucket. It returns events.ErrConflict and changes nothing
// if the revision of key is not last (0: there is no value).
func (b *KV) Put(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	var rev uint64
	var err error
	if b.health != nil {
		if err := b.health(); err != nil {
			return 0, err
		}
	}
	if last == 0 {
		rev, err = b.kv.Create(ctx, key, value)
	} else {
		rev, err = b.kv.Update(ctx, key, value, last)
	}
	if errors.Is(err, jetstream.ErrKeyExists) {
		err = events.ErrConflict
	}
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	return rev, nil
}

// Watch yields every value that there is, then an entry without a key, and then
// changes as they come, until ctx is done. A value that went by its age is nil.
func (b *KV) Watch(ctx context.Context) iter.Seq2[events.KVEntry, error] {
	return func(yield func(events.KVEntry, error) bool) {
		w, err := b.kv.WatchAll(ctx)
		if err != nil {
			yield(events.KVEntry{}, fmt.Errorf("watch bucket %s: %w", b.kv.Bucket(), err))
			return
		}
		defer func() { _ = w.Stop() }()
		for {
			select {
			case e, ok := <-w.Updates():
				if !ok {
					yield(events.KVEntry{}, fmt.Errorf("watch bucket %s: it has ended", b.kv.Bucket()))
					return
				}
				if !yield(entryOf(e), nil) {
					return
				}
			case <-ctx.Done():
				yield(events.KVEntry{}, ctx.Err())
				return
			}
		}
	}
}

func entryOf(e jetstream.KeyValueEntry) events.KVEntry {
	if e == nil {
		return events.KVEntry{}
	}
	x := events.KVEntry{Key: e.Key(), Rev: e.Revision()}
	if e.Operation() == jetstream.KeyValuePut {
		x.Value = e.Value()
	}
	return x
}
