package sources

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rollcall/events"
	"rollcall/events/files"
)

// lookEvery is how soon a change of the file is noticed when nobody asks.
const lookEvery = 100 * time.Millisecond

// Load reads the table of a data directory; none is an empty one.
func Load(dir string) (*Table, error) {
	path := filepath.Join(dir, FileName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // who opens the directory says what is wrong with it
		return &Table{}, nil
	}
	if err != nil {
		return nil, &events.Error{Code: "E-SOURCE-FILE", What: "the table of sources cannot be read", Where: path, Why: files.Reason(err),
			Do: "let its owner read it", Exit: events.ExitInput, Err: err}
	}
	return Parse(path, b)
}

// Change replaces the table of a data directory by what change makes of it; a
// change of another process comes before or after. The file is its owner's alone.
func Change(dir string, change func(*Table) (*Table, error)) error {
	release, err := lock(dir)
	if err != nil {
		return unwritten(dir, err)
	}
	defer release()
	t, err := Load(dir)
	if err != nil {
		return err
	}
	if t, err = change(t); err != nil {
		return err
	}
	if err := files.Replace(filepath.Join(dir, FileName), t.format()); err != nil {
		return unwritten(dir, err)
	}
	return nil
}

func unwritten(dir string, err error) error {
	return &events.Error{Code: "E-SOURCE-FILE", What: "the table of sources cannot be written", Where: filepath.Join(dir, FileName), Why: files.Reason(err),
		Do: "see to the disk of the data directory, and who may write there", Exit: events.ExitFailure, Err: err}
}

// lock keeps other processes from changing the table.
func lock(dir string) (release func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return func() { _ = d.Close() }, nil // it was only locked
}

// Live is the table of a data directory as it is now, also when its file changes.
// It can be used from many goroutines.
type Live struct {
	dir  string
	warn func(error)

	mu    sync.Mutex
	seen  fs.FileInfo // of the file when it was read; nil: there was none
	table *Table
}

// Open reads the table of a data directory. warn is told of a change of the file
// that cannot be read; the table stays as it was then.
func Open(dir string, warn func(error)) (*Live, error) {
	l := &Live{dir: dir, warn: warn, seen: stat(dir)}
	var err error
	l.table, err = Load(dir)
	return l, err
}

func stat(dir string) fs.FileInfo {
	i, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil {
		return nil
	}
	return i
}

// Table returns the table as the file has it now: it looks at the file, so that a
// token that was taken away is nobody's at once.
func (l *Live) Table() *Table {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := stat(l.dir)
	if same(l.seen, now) {
		return l.table
	}
	l.seen = now
	if t, err := Load(l.dir); err == nil {
		l.table = t
	} else {
		l.warn(err)
	}
	return l.table
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// Follow returns what looks at the file until its context ends, and calls changed
// after each change.
func (l *Live) Follow(changed func()) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for last := l.Table(); ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			if t := l.Table(); t != last {
				last = t
				changed()
			}
		}
	}
}
