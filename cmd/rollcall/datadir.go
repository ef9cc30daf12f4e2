package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"rollcall/events"
	"rollcall/projector"
)

// Files of a data directory that the program keeps beside the log. None is a
// truth of its own: the position tells a log that lost its end from one that
// never had it, the cluster file which cluster's log is in the directory and
// which nodes it was begun with, the kubeconfig how to reach its API.
const (
	positionFile   = "position.json"
	clusterFile    = "cluster.json"
	kubeconfigFile = "kubeconfig"
)

// savedPosition is a projector.Position in JSON.
type savedPosition struct {
	Log   string     `json:"log"`
	Seq   events.Seq `json:"seq"`
	Chain string     `json:"chain"`
}

// loadPosition returns how far the last run on dir had read; zero: nothing is known.
func loadPosition(dir string) (projector.Position, error) {
	var s savedPosition
	found, err := loadJSON(filepath.Join(dir, positionFile), &s)
	if err != nil || !found {
		return projector.Position{}, err
	}
	p := projector.Position{Log: s.Log, Seq: s.Seq}
	chain, err := hex.DecodeString(s.Chain)
	if err != nil || len(chain) != len(p.Chain) {
		return p, damagedFile(filepath.Join(dir, positionFile), "its chain is no SHA-256")
	}
	copy(p.Chain[:], chain)
	return p, nil
}

func savePosition(dir string, p projector.Position) error {
	return saveJSON(filepath.Join(dir, positionFile), savedPosition{p.Log, p.Seq, hex.EncodeToString(p.Chain[:])})
}

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
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		return false, nil // that a data directory is a file is refused by who opens it
	}
	if err != nil {
		return false, damagedFile(path, reason(err))
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
	return nil
}

func damagedFile(path, why string) error {
	return &events.Error{Code: "E-STORE-FILE", What: "a file of the data directory cannot be read", Where: path, Why: why,
		Do: "run rollcall verify on the directory; if that is well, remove the file", Exit: events.ExitHalt}
}

// reason returns the cause of a failed file operation without its path.
func reason(err error) string {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
