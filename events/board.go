package events

import (
	"context"
	"iter"
)

// Posted is one value of a board.
type Posted struct {
	Key   string
	Value []byte // nil: it is gone
	Rev   uint64
}

// Board keeps the newest value of each key beside the log: of what beats often
// or is kept for an hour, and decides nothing.
type Board interface {
	// Put makes value the value of key and returns its revision; revisions rise
	// over the whole board. It returns ErrConflict and changes nothing if the
	// revision of key is not last (0: there is none, or none any more).
	Put(ctx context.Context, key string, value []byte, last uint64) (uint64, error)
	// Watch yields every value that there is, then an entry without a key, then
	// changes as they come. It ends with ctx's error, or with one of the board.
	Watch(ctx context.Context) iter.Seq2[Posted, error]
}
