package natsd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rollcall/events"
)

// Files of a data directory beside the store of the server.
const (
	lockFile       = "lock"
	versionFile    = "version"
	connectionFile = "connection.json"
	// Of every user but the first.
	connectionOther = "connection-%s.json"
)

// format is the version of the data directory that this program writes.
const format = "1"

// A lock may be taken for an instant by a process that asks whether anybody
// holds it, so it is tried lockTries times, lockPause apart.
const (
	lockTries = 10
	lockPause = 20 * time.Millisecond
)

// reason returns the cause of a failed file operation without the path, which
// the error names already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func storeError(dir string, err error) error {
	return &events.Error{Code: "E-CLI-STORE", What: "the data directory cannot be used", Where: dir, Why: reason(err),
		Do: "name a directory that can be written", Exit: events.ExitInput, Err: err}
}

// prepare makes dir, or checks that it is a data directory or empty: a store
// in the middle of other files could be deleted with them.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return storeError(dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return storeError(dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, versionFile)); err == nil {
		return nil
	}
	for _, e := range entries {
		if e.Name() != lockFile {
			return &events.Error{Code: "E-CLI-STORE", What: "the directory is not a data directory", Where: dir,
				Why: fmt.Sprintf("it holds %s and no %s file", e.Name(), versionFile),
				Do:  "name an empty or a new directory", Exit: events.ExitInput}
		}
	}
	return nil
}

// checkVersion checks the format of a data directory, and writes it in a new
// one. The caller holds the lock.
func checkVersion(dir string) error {
	path := filepath.Join(dir, versionFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return writeFile(path, []byte(format+"\n"))
	}
	if err != nil {
		return storeError(dir, err)
	}
	if v := strings.TrimSpace(string(b)); v != format {
		return versionError(dir, v)
	}
	return nil
}

// writeFile replaces a file by one with the given bytes, so that a reader and a
// crash see the old bytes or the new ones.
func writeFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return storeError(filepath.Dir(path), err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = storeError(filepath.Dir(path), err)
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close()) // it is its owner's: CreateTemp makes it so
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// writeJSON replaces a file of a data directory, for its owner only.
func writeJSON(dir, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, name), append(b, '\n'))
}

// lock is the lock of a data directory. The system gives it free when the
// process ends, however it ends.
type lock struct{ f *os.File }

// holder is what the lock file says of who holds the lock.
type holder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// takeLock takes the lock of dir, or returns E-STORE-LOCKED.
func takeLock(ctx context.Context, dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, storeError(dir, err)
	}
	for try := 1; ; try++ {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || try == lockTries {
			break
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		return nil, lockedError(dir)
	}
	if err != nil {
		return nil, errors.Join(storeError(dir, err), f.Close())
	}
	b, err := json.Marshal(holder{os.Getpid(), time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(b, '\n'), 0)
	}
	if err != nil {
		return nil, errors.Join(storeError(dir, err), f.Close())
	}
	return &lock{f}, nil
}

// release gives the lock free. The file stays: if it were removed, two
// processes could hold locks on two files of its name.
func (l *lock) release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}

func lockedError(dir string) error {
	who := "another process holds it"
	var h holder
	if b, err := os.ReadFile(filepath.Join(dir, lockFile)); err == nil && json.Unmarshal(b, &h) == nil && h.PID != 0 {
		who = fmt.Sprintf("process %d holds it since %s", h.PID, h.Since.Format(time.RFC3339))
	}
	return &events.Error{Code: "E-STORE-LOCKED", What: "the data directory is in use", Where: dir, Why: who,
		Do: "stop that process, or use another directory", Exit: events.ExitBusy}
}

// held reports whether a process holds the lock of dir.
func held(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
