// Package files replaces small files so that neither a reader nor a crash finds
// half of one, and says in a few words why a file could not be used.
package files

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace replaces a file by one with the given bytes, for its owner only. A
// reader finds the old bytes or the new ones, also after a crash; when it returns
// nil, the new ones survive a power cut.
func Replace(path string, data []byte) error { return put(path, data, os.Rename) }

// Create is Replace for a file that is not there yet; if it is, the error is
// fs.ErrExist.
func Create(path string, data []byte) error {
	return put(path, data, func(from, to string) error {
		if err := os.Link(from, to); err != nil {
			return err
		}
		return os.Remove(from)
	})
}

// put writes a file under another name, and has move give it its own.
func put(path string, data []byte, move func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = move(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(filepath.Dir(path))
}

// ReplaceJSON is Replace by the JSON of v.
func ReplaceJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return Replace(path, append(b, '\n'))
}

// Sweep removes from a directory what Replace has left there in processes that
// were killed. No process may be replacing a file of it.
func Sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".*-*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// SyncDir makes the names in a directory survive a power cut.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Reason returns the cause of a failed file operation without the path, which who
// tells of it names anyway.
func Reason(err error) string {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
