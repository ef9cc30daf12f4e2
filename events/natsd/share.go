package natsd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rollcall/events"
)

// Share holds off an instance from a data directory as long as it is read:
// E-STORE-LOCKED says that one runs, E-CLI-STORE that it is no data directory,
// E-STORE-VERSION that it has another format. It writes nothing, and needs no
// right to: on a copy without the lock file there is no instance to hold off.
func Share(dir string) (release func(), err error) {
	b, err := os.ReadFile(filepath.Join(dir, versionFile))
	if err != nil {
		return nil, &events.Error{Code: "E-CLI-STORE", What: "this is no data directory", Where: dir, Why: reason(err),
			Do: "name the directory that rollcall up was given", Exit: events.ExitInput, Err: err}
	}
	if v := strings.TrimSpace(string(b)); v != format {
		return nil, versionError(dir, v)
	}
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return func() {}, nil
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close()
		return nil, lockedError(dir)
	}
	// A file system without locks has no instance on it.
	return func() { _ = f.Close() }, nil
}

func versionError(dir, v string) error {
	return &events.Error{Code: "E-STORE-VERSION", What: fmt.Sprintf("the data directory has format %.20q", v), Where: dir,
		Why: "this program knows format " + format, Do: "use the program that wrote it", Exit: events.ExitInput}
}
