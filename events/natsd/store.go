package natsd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rollcall/events"
	"rollcall/events/files"
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

func storeError(dir string, err error) error {
	return &events.Error{Code: "E-CLI-STORE", What: "the data directory cannot be used", Where: dir, Why: files.Reason(err),
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

// checkVersion checks the format of a data directory. A directory without one
// gives an error that is fs.ErrNotExist.
func checkVersion(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, versionFile))
	if err != nil {
		return err
	}
	v := strings.TrimSpace(string(b))
	if v == format {
		return nil
	}
	return &events.Error{Code: "E-STORE-VERSION", What: fmt.Sprintf("the data directory has format %.20q", v), Where: dir,
		Why: "this program knows format " + format, Do: "use the program that wrote it", Exit: events.ExitInput}
}

// holder is what the lock file says of who holds the lock.
type holder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// takeLock takes the lock of dir, or returns ErrLocked. Closing the file gives it
// free, as the system does when the process ends, however it ends. The file
// stays: if it were removed, two processes could hold locks on two files of its
// name.
func takeLock(ctx context.Context, dir string) (*os.File, error) {
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
	return f, nil
}

// ErrLocked says that another process holds a data directory.
var ErrLocked = errors.New("the data directory is locked")

func lockedError(dir string) error {
	who := "another process holds it"
	var h holder
	if b, err := os.ReadFile(filepath.Join(dir, lockFile)); err == nil && json.Unmarshal(b, &h) == nil && h.PID != 0 {
		who = fmt.Sprintf("process %d holds it since %s", h.PID, h.Since.Format(time.RFC3339))
	}
	return &events.Error{Code: "E-STORE-LOCKED", What: "the data directory is in use", Where: dir, Why: who,
		Do: "stop that process, or use another directory", Exit: events.ExitBusy, Err: ErrLocked}
}

// Share holds off an instance from a data directory as long as it is read:
// ErrLocked says that one runs, E-CLI-STORE that it is no data directory,
// E-STORE-VERSION that it has another format. It writes nothing, and needs no
// right to: on a copy without the lock file there is no instance to hold off.
func Share(dir string) (release func(), err error) {
	err = checkVersion(dir)
	if own := new(events.Error); errors.As(err, &own) {
		return nil, err
	}
	if err != nil {
		why := files.Reason(err)
		if _, gone := os.Stat(dir); gone == nil && errors.Is(err, os.ErrNotExist) {
			why = "it has no file " + versionFile
		}
		return nil, &events.Error{Code: "E-CLI-STORE", What: "this is no data directory", Where: dir, Why: why,
			Do: "name the directory that rollcall up or connect was given", Exit: events.ExitInput, Err: err}
	}
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return func() {}, nil
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close() // it was only locked
		return nil, lockedError(dir)
	}
	// A file system without locks has no instance on it.
	return func() { _ = f.Close() }, nil
}
