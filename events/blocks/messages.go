package blocks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Message is one of a stream beside the log.
type Message struct {
	Seq  uint64
	Body []byte
}

// Messages returns what a stream beside the log in a data directory of a stopped
// cluster holds, in order, and what of it is damaged. One that is not there holds
// nothing. All of it is in memory: the stream has to have a bound.
func Messages(ctx context.Context, data, stream string) (ms []Message, err error) {
	dir := filepath.Join(data, streamsDir, stream)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	store, err := open(dir, stream, false)
	if err != nil {
		return nil, err
	}
	gone := map[uint64]bool{}
	var bad error
	for i := range store.blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		bad = cmp.Or(bad, store.each(i, func(r *record) {
			if r.flags != 0 {
				gone[uint64(r.seq)] = true
				return
			}
			ms = append(ms, Message{uint64(r.seq), bytes.Clone(r.body)})
		}))
	}
	return slices.DeleteFunc(ms, func(m Message) bool { return gone[m.Seq] }), bad
}
