package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"rollcall/events"
)

// Files of a data directory that the program keeps beside the log. None is a
// truth of its own: the cluster file tells which cluster's log is in the
// directory and which nodes it was begun with, the kubeconfig how to reach its
// API. Others are witnesses of the log: see witness.
const (
	clusterFile    = "cluster.json"
	kubeconfigFile = "kubeconfig"
)

// sweep removes what writers left that were killed. The caller holds the lock
// of the directory.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".*-*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// founding is with what a cluster was begun.
type founding struct {
	Cluster string `json:"cluster"`
	Nodes   int    `json:"nodes"`
	Seed    int64  `json:"seed"`
	Added   bool   `json:"added"` // all of the nodes are in the log
}

func loadFounding(dir string) (f founding, found bool, err error) {
	found, err = loadJSON(filepath.Join(dir, clusterFile), &f)
	return f, found, err
}

func saveFounding(dir string, f founding) error { return saveJSON(filepath.Join(dir, clusterFile), f) }

func loadJSON(path string, into any) (found bool, err error) {
	b, found, err := readFile(path)
	if err != nil || !found {
		return false, err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return false, damagedFile(path, err.Error())
	}
	return true, nil
}

// saveJSON replaces a file so that a reader, and a crash, find the old content
// or the new.
func saveJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return saveFile(path, append(b, '\n'))
}

// saveFile is saveJSON of bytes. The file is for its owner only.
func saveFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory survive a power cut.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func damagedFile(path, why string) error {
	return &events.Error{Code: "E-STORE-FILE", What: "a file of the data directory cannot be read", Where: path, Why: why,
		Do: "put it back from a copy of the directory; without one, keep what is there and remove the file: up makes it again, but can no longer tell what it told", Exit: events.ExitHalt}
}

// reason returns the cause of a failed file operation without its path.
func reason(err error) string {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
