package events

import (
	"context"
	"iter"
)

// KVEntry is one value of a bucket.
type KVEntry struct {
	Key   string
	Value []byte // nil: it is gone
	Rev   uint64
}

// KV keeps the newest value of each key beside the log: of what beats often
// or is kept for an hour, and decides nothing.
type KV interface {
	// Put makes value the value of key and returns its revision; revisions rise
	// over the whole bucket. It returns ErrConflict and changes nothing if the
	// revision of key is not last (0: there is none, or none any more).
	Put(ctx context.Context, key string, value []byte, last uint64) (uint64, error)
	// Watch yields every value that there is, then an entry without a key, then
	// changes as they come. It ends with ctx's error, or with one of the bucket.
	Watch(ctx context.Context) iter.Seq2[KVEntry, error]
}
