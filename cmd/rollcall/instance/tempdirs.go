package instance

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Temporary directories of instances: each holds a live token or a log, so that
// none must stay after its process, however that ended.
const (
	tempPrefix = "rollcall-"
	tempLock   = "lock" // in them, held by their process
	tempYoung  = time.Minute
)

// MakeTemp makes a temporary directory that sweepTemps leaves alone for as long
// as this process lives.
func MakeTemp() (string, error) {
	dir, err := os.MkdirTemp("", tempPrefix)
	if err != nil {
		return "", err
	}
	// It is not closed: the system does that, and no sooner.
	fd, err := unix.Open(filepath.Join(dir, tempLock), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// sweepTemps removes the temporary directories in root that processes of this
// user have left which were killed. One that is younger than tempYoung may not
// be locked yet, so that it waits for the next time.
func sweepTemps(root string, now time.Time) {
	left, err := filepath.Glob(filepath.Join(root, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < tempYoung || !own(info) {
			continue
		}
		if release, free := tryLock(filepath.Join(dir, tempLock)); free {
			_ = os.RemoveAll(dir) // what cannot be removed now may be the next time
			release()
		}
	}
}

func own(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// tryLock takes the lock of a file that exists; free is false if somebody has it.
func tryLock(path string) (release func(), free bool) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, false
	}
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		_ = unix.Close(fd)
		return nil, false
	}
	return func() { _ = unix.Close(fd) }, true
}

// sweepKilled removes what killed instances of this user have left outside of
// data directories.
func sweepKilled() {
	_ = List() // which are not listed any more then
	sweepTemps(os.TempDir(), time.Now())
}
