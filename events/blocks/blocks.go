// Package blocks reads the log of a stopped cluster from the files of its
// stream, and checks them: it starts no server and writes nothing, so that a
// damaged log is neither mended nor taken for a whole one, and a copy or a
// read-only file system can be read.
//
// It knows the files that the nats-server named by Verified writes: the
// description of the stream (meta.inf, meta.sum), the blocks of its messages
// (msgs/N.blk), and the server's index of them (msgs/index.db). A block proves
// each of its records by a checksum; what the records do not prove, that none is
// missing at the end, the index is a witness of, and the caller may have others.
//
// What is read is refused with an *events.Error:
//
//	E-STREAM-NONE    there is no such stream, or its description is gone
//	E-LOG-DAMAGED    a file or a complete record is not what was written
//	E-LOG-GAP        a position is missing, or was deleted
//	E-LOG-TRUNCATED  the log ends before a position that the index knows
//	E-LOG-REWRITTEN  the index knows another record at its last position
//	E-LOG-ENCRYPTED  the records are encrypted
//
// Files may hold anything: no length in them is believed before it is checked
// against what is there, and no more than a few blocks are in memory at a time:
// twice as many as there are cores, of which four count at most, and one.
package blocks

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"rollcall/events"
	"rollcall/events/ahead"
)

// Verified is the version of nats-server whose files were read back in every
// shape by the tests of this package.
const Verified = "v2.15.2"

// streamsDir is where a server keeps the streams of its only account, below
// its store.
var streamsDir = filepath.Join("jetstream", "$G", "streams")

// StreamDir returns the directory of a cluster's stream in a data directory.
func StreamDir(data string, s events.Subjects) string {
	return filepath.Join(data, streamsDir, s.Stream())
}

// Clusters returns the names of the clusters whose logs are in a data directory.
func Clusters(data string) (names []string) {
	entries, _ := os.ReadDir(filepath.Join(data, streamsDir)) // what cannot be read is refused by who opens it
	for _, e := range entries {
		_, name, _ := strings.Cut(e.Name(), "_")
		if s, err := events.NewSubjects(name); err == nil && s.Stream() == e.Name() {
			names = append(names, name)
		}
	}
	return names
}

// Store is the log of a stopped cluster. Its methods may be called from several
// goroutines. Nobody may write the files meanwhile; blocks that are appended
// are not seen, and those that are changed are refused.
type Store struct {
	// Relaxed says that the server did not sync each write, so that a power cut
	// may have left zeros at the end, and an index of records that were lost.
	// It is set before anything is read.
	Relaxed bool
	// Archived is a position before which events may have been purged; 0: none may.
	// It is set before anything is read.
	Archived events.Seq

	dir    string
	name   string
	id     string // "" if the description of the stream is gone and was not asked for
	blocks []blockFile
	index  index

	memory chan *buffers // of blocks, that nobody reads into

	mu      sync.Mutex
	checked *Report
}

var _ events.Reader = (*Store)(nil)

// Open looks at the stream of a cluster in a data directory. It reads no record.
func Open(data string, s events.Subjects) (*Store, error) {
	return open(StreamDir(data, s), s.Stream(), true)
}

// OpenNameless is Open of a stream without its description, whose ID is "". The
// server gives it a new one and goes on with the messages.
func OpenNameless(data string, s events.Subjects) (*Store, error) {
	return open(StreamDir(data, s), s.Stream(), false)
}

func open(dir, name string, named bool) (*Store, error) {
	st := &Store{dir: dir, name: name, memory: make(chan *buffers, ahead.Parts)}
	if _, err := os.Stat(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, none(name, dir, "the directory of the stream is not there")
		}
		return nil, unreadable(dir, err)
	}
	var err error
	if named {
		if st.id, err = readIdentity(dir, name); err != nil {
			return nil, err
		}
	}
	if st.blocks, err = list(dir); err != nil {
		return nil, err
	}
	st.index, err = readIndex(filepath.Join(dir, messages, indexFile), name)
	return st, err
}

// ID is the events.Info.ID of the log, as events/stream has it.
func (s *Store) ID() string { return s.id }

// Info implements a part of events.Log. It checks the log if nobody has.
func (s *Store) Info(ctx context.Context) (events.Info, error) {
	s.mu.Lock()
	rep := s.checked
	s.mu.Unlock()
	if rep == nil {
		r, err := s.Check(ctx, nil)
		if err != nil {
			return events.Info{}, err
		}
		rep = &r
	}
	return events.Info{ID: s.id, Last: rep.Last, Before: rep.Before}, nil
}

// Read implements events.Reader. A record that was being written when the server
// was killed is not part of the log.
func (s *Store) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		if s.Archived > 0 {
			if i, err := s.Info(ctx); err != nil || after < i.Before {
				if err == nil {
					err = events.Gap(after+1, i.Before+1)
				}
				yield(events.Event{}, err)
				return
			}
		}
		stopped := false
		end, err := s.scan(ctx, pass{from: s.blockOf(after + 1), events: true, visit: func(r *record) error {
			if r.seq <= after {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if stopped = !yield(r.event(), nil); stopped {
				return errStop
			}
			return nil
		}})
		switch {
		case stopped:
		case err != nil:
			yield(events.Event{}, err)
		case end.Last < after:
			yield(events.Event{}, events.Truncated(after, end.Last))
		}
	}
}

// Report is what a check of a whole log found.
type Report struct {
	Before events.Seq // position before the first event: what was before is purged
	Last   events.Seq
	Blocks []Block    // those with records, in order; the last one may grow
	Torn   *Torn      // nil: the log ends with a record
	Known  events.Seq // last position that the server's index knows; 0: it says nothing
}

// Check reads every record of the log. visit is called with each, in order, and
// ends the check with its error; it may be nil. What is passed is valid during
// the call only.
func (s *Store) Check(ctx context.Context, visit func(seq events.Seq, raw []byte) error) (Report, error) {
	return s.CheckKnown(ctx, nil, Visit{Record: visit})
}

// Visit is who is told of a check. Either may be nil, and ends the check with its
// error.
type Visit struct {
	// Record is called with each record that is read, in order. What is passed is
	// valid during the call only.
	Record func(seq events.Seq, raw []byte) error
	// Block is called after each block. Of one that is skipped no record was passed.
	Block func(b Block, skipped bool) error
}

// CheckKnown is Check of a log whose first blocks are known. The bytes of each are
// read, and it is skipped if they have the hash that is known, as those of all
// blocks before it have: its records were proved when it became known. From the
// first block on that has not, every record is read.
func (s *Store) CheckKnown(ctx context.Context, known []Known, v Visit) (Report, error) {
	rep, err := s.scan(ctx, pass{known: known, ended: v.Block, visit: func(r *record) error {
		if v.Record != nil {
			return v.Record(r.seq, r.body)
		}
		return nil
	}})
	if err != nil {
		return rep, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked = &rep
	return rep, nil
}

// IndexPath returns where the server's index is.
func (s *Store) IndexPath() string { return s.index.path }

// Size returns how many bytes of blocks there are.
func (s *Store) Size() (n int64) {
	for _, b := range s.blocks {
		n += b.size
	}
	return n
}
