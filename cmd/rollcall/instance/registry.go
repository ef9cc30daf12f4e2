package instance

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/natsd"
)

// Running is one entry of the list of instances of a user: where commands in
// another terminal find one without being told. Its process holds a lock on the
// entry for as long as it lives, so that one which was killed is known by that,
// also when another process has got its number.
type Running struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Origin            // with the user of the NATS server; Dir is never empty if the log is in it
}

// String names an instance to choose from.
func (r Running) String() string {
	at := r.Dir
	if r.NATSURL != "" {
		at = WithoutUser(r.NATSURL)
	}
	return fmt.Sprintf("%s (process %d)", at, r.PID)
}

// registryDir returns where instances of this user are listed.
func registryDir() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "rollcall", "instances"), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "rollcall", "instances"), nil
}

// register lists the instance for commands in other terminals.
func (in *Instance) register() error {
	if in.Server != nil && in.Server.URL() == "" {
		return nil
	}
	r := Running{PID: os.Getpid(), Started: time.Now().UTC(), Origin: in.origin()}
	r.Dir, r.NATSURL = cmp.Or(r.Dir, r.Data), in.NATSURL
	remove, err := register(r)
	if err != nil {
		return nil // a user without a home can still say --data
	}
	in.stops = append(in.stops, remove)
	return nil
}

// register lists an instance and returns what takes it off the list.
func register(r Running) (remove func() error, err error) {
	dir, err := registryDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// Nobody sees the entry before it is locked and whole.
	f, err := os.CreateTemp(dir, fmt.Sprintf(".%d-", r.PID))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, strings.TrimPrefix(filepath.Base(f.Name()), ".")+".json")
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = json.NewEncoder(f).Encode(r)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()), f.Close())
	}
	return func() error { return errors.Join(os.Remove(path), f.Close()) }, nil
}

// List returns who is listed and still runs, by process. What those that
// were killed have left is removed.
func List() []Running {
	dir, err := registryDir()
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(dir) // by name
	if err != nil {
		return nil
	}
	var found []Running
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			if r, ok := listedAs(filepath.Join(dir, e.Name())); ok {
				found = append(found, r)
			}
		}
	}
	return found
}

// listedAs reads an entry. ok is false if its instance has ended, or cannot be
// reached.
func listedAs(path string) (r Running, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return r, false
	}
	defer func() { _ = f.Close() }() // it was only read
	if found, err := datadir.LoadJSON(path, &r); !found || err != nil {
		r = Running{}
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		_ = os.Remove(path) // whose lock is free has ended
		sweepTemps(os.TempDir(), time.Now())
		return r, false
	}
	if r.NATSURL != "" {
		return r, true
	}
	_, err = natsd.Attach(r.Dir)
	return r, err == nil
}

// maxNamed is how many instances an error names.
const maxNamed = 5

// Only returns the one instance that runs, or asks which.
func Only() (Running, error) {
	found := List()
	switch len(found) {
	case 0:
		return Running{}, &events.Error{Code: "E-CLI-INSTANCE", What: "no instance is running",
			Do: "start one with rollcall up, or name a data directory with --data", Exit: events.ExitInput}
	case 1:
		return found[0], nil
	}
	var names []string
	for _, r := range found[:min(len(found), maxNamed)] {
		names = append(names, r.String())
	}
	if more := len(found) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return Running{}, &events.Error{Code: "E-CLI-INSTANCE", What: fmt.Sprintf("%d instances are running", len(found)),
		Why: strings.Join(names, ", "), Do: "choose one with --data, --nats-url, or the export line that it printed", Exit: events.ExitInput}
}
