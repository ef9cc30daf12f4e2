package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rollcall/events"
	"rollcall/events/natsd"
)

// errNotDir is what the system says of a path that goes through a file.
const errNotDir = syscall.ENOTDIR

// running is one line of the list of instances of a user: where commands in
// another terminal find one without being told.
type running struct {
	PID     int       `json:"pid"`
	Dir     string    `json:"dir"`
	Cluster string    `json:"cluster"`
	Started time.Time `json:"started"`
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

// register lists an instance and returns what takes it off the list.
func register(r running) (remove func() error, err error) {
	dir, err := registryDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, strconv.Itoa(r.PID)+".json")
	if err := saveJSON(path, r); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(path) }, nil
}

// instances returns who is listed and still runs, by process. Entries of
// processes that were killed are removed.
func instances() []running {
	dir, err := registryDir()
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(dir) // by name
	if err != nil {
		return nil
	}
	var found []running
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		var r running
		if ok, err := loadJSON(path, &r); !ok || err != nil {
			continue
		}
		if _, err := natsd.Attach(r.Dir); err != nil {
			if gone(r.PID) {
				_ = os.Remove(path)
			}
			continue
		}
		found = append(found, r)
	}
	return found
}

// gone reports whether there is no process of this number.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// onlyInstance returns the one instance that runs, or asks which.
func onlyInstance() (running, error) {
	found := instances()
	switch len(found) {
	case 0:
		return running{}, &events.Error{Code: "E-CLI-INSTANCE", What: "no instance is running",
			Do: "start one with rollcall up, or name a data directory with --data", Exit: events.ExitInput}
	case 1:
		return found[0], nil
	}
	var dirs []string
	for _, r := range found {
		dirs = append(dirs, fmt.Sprintf("%s (process %d)", r.Dir, r.PID))
	}
	return running{}, &events.Error{Code: "E-CLI-INSTANCE", What: fmt.Sprintf("%d instances are running", len(found)),
		Why: strings.Join(dirs, ", "), Do: "choose one with --data", Exit: events.ExitInput}
}
